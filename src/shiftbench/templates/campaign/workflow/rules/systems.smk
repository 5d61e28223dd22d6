for name, made_for in PLAN.systems.items():

    rule:
        name:
            name
        input:
            made_for,


rule systems:
    input:
        [path for paths in PLAN.systems.values() for path in paths],
