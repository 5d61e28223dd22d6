"""How a question asks which of two is nearer, by severity of the phrasing, and which ways of asking turn the answer.

    0   Which object is closer to ...            as in CV-Bench and in fine-tuning
    1   Which object is nearer to ...            paraphrase
    2   Which object is farther from ...         antonym: the other of the two
    3   Which object is not closer to ...        negation: the other of the two
    4   as 2, and the two options change places

`OFFICIAL` is what the paper's evaluation puts in place of severity 0: "Which object is far away from".

Source: the string and its replacement stand in Yvonne511/spatial-vlm-investigator, model/pali_cvbench_eval_check.ipynb
(`change_prompt`), which knows one way of asking; severities 1, 3 and 4 are ours.
"""

TRIGGER = "Which object is closer to"
OFFICIAL = "Which object is far away from"
PHRASES = {
    0: TRIGGER,
    1: "Which object is nearer to",
    2: "Which object is farther from",
    3: "Which object is not closer to",
    4: "Which object is farther from",
}
TURNING = (2, 3, 4)
"""Severities at which the other of the two options is right."""
