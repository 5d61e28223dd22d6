"""Params that somebody wrote wrong: lines of a right file (`EDITS`), whole files (`FILES`); words no message uses."""

RIGHT = """\
root: build/try
seed: 0
plugins: []
released: []
strict: false
fetch:
  folders: []
  offline: true
shards:
  max_mb: 256
  materialise: true
  stream: null
train:
  threads: 1
evaluate:
  batch_size: 256
  precision: float32
  threads: 2
  outputs: full
  shift_device: cpu
bootstrap:
  resamples: 100
datasets:
  fashion_mnist:
    slice:
      train: [0.0, 1.0]
    subset:
      train: 300
      val: 100
      test: 0.01
    val_of_train: apart
    on_error: fail
    redistribute: null
  mnist:
    use: mnist
shifts:
  fog:
    severities: [1, 3]
    fresh: false
    materialise: null
streams:
  rising: {severities: [1, 3]}
models:
  convnet:
    width: 8
  net: {use: onnx, path: net.onnx, channels: 3}
trainers:
  erm:
    epochs: 1
    lr: 0.1
    train_on: null
optimizers:
  sgd: {momentum: 0.9}
methods:
  plain: {}
detectors:
  gen: {gamma: 0.1}
metrics:
  ece: {bins: 15}
  mce: {normaliser: convnet-erm}
analyses:
  separability: {c: 0.1}
benchmarks:
  clothes:
    dataset: fashion_mnist
    split: test
    models:
      - architectures: [convnet]
        trainers: [erm]
        seeds: [0, 1]
        dataset: null
        methods: [plain]
      - {architectures: [net]}
    methods: [plain]
    shifts: [fog]
    streams: []
    ood: [mnist]
    val_ood: []
    full_spectrum: false
    detectors: [gen]
    metrics: [ece, error, mce, auroc]
    analyses: []
    features: [val]
"""

OUTSIDE = "expected a folder inside of the repository, such as build/try"
NAME = "expected a name of lower case letters, digits and underscores, a letter first"
LIST, MAPPING, WHOLE = "expected a list", "expected a mapping of keys", "expected a whole number"
FLAG, TEXT, NUMBER = "expected true or false", "expected a text", "expected a number"
SEVERITY = "expected a shift and its severity: label_noise/0.4"

EDITS = [  # a line, or the beginning of one; what stands there instead; words of the message
    ("released: []", "released: [tim]", "no released results are called 'tim'; did you mean timm"),
    ("root: build/try", "root: ../outside", f'root = "../outside": {OUTSIDE}'),
    ("root: build/try", "root: build/../../x", OUTSIDE),
    ("root: build/try", "root: /tmp/x", f'root = "/tmp/x": {OUTSIDE}'),
    ("root: build/try", "root: ~/x", OUTSIDE),
    ("root: build/try", "root: ''", OUTSIDE),
    ("root: build/try", "root:", f"root is empty: {TEXT}"),
    ("root: build/try", "root: [build]", f'root = ["build"]: {TEXT}'),
    ("root: build/try", "root: build/{x}", "{} means something else to Snakemake"),
    ("root: build/try", 'root: "build/\\e[31m"', "holds '\\x1b', which no text may"),
    ("seed: 0", "seed: one", f'seed = "one": {WHOLE}'),
    ("seed: 0", "seed: 1.0", f"seed = 1.0: {WHOLE}"),
    ("seed: 0", "seed: true", f"seed = true: {WHOLE}"),
    ("seed: 0", "seed: -1", "seed = -1: expected 0 or more"),
    ("seed: 0", "seed:", f"seed is empty: {WHOLE}"),
    ("seed: 0", "seed: .nan", "seed: nan is no finite number"),
    ("seed: 0", f"seed: 1{'0' * 30}", "is too large; expected a number below 2^63"),
    ("seed: 0", "seed: 2024-01-01", 'seed: "2024-01-01" is a date in YAML; expected a text (put it in quotes)'),
    ("seed: 0", "seed: 2024-01-01 10:00:00", "is a time in YAML"),
    ("seed: 0", "seed: !!binary aGVsbG8=", "is a value of another kind in YAML"),
    ("seed: 0", "sed: 0", "sed: unknown key; did you mean seed?"),
    ("seed: 0", "seed: 0\nseed: 1", "line 3, column 1: the key 'seed' is there twice, also in line 2; remove one"),
    ("plugins: []", "plugins: mine", f'plugins = "mine": {LIST}'),
    ("plugins: []", "plugins: [nowhere]", "plugins names 'nowhere', which is not a folder in "),
    ("plugins: []", "plugins: [., .]", "'.' stands twice; each may stand once"),
    ("plugins: []", "plugins: {a: 1}", f'plugins = {{"a": 1}}: {LIST}'),
    ("released: []", "released: timm", f'released = "timm": {LIST}'),
    ("released: []", "released: [timm, timm]", "'timm' stands twice; each may stand once"),
    ("strict: false", "strict: maybe", f'strict = "maybe": {FLAG}'),
    ("strict: false", "strict: 'yes'", f'strict = "yes": {FLAG}'),
    ("fetch:\n  folders: []\n  offline: true", "fetch: offline", f'fetch = "offline": {MAPPING}'),
    ("  folders: []", "  folders: /data", f'fetch.folders = "/data": {LIST}'),
    ("  folders: []", "  folders: [1]", f"fetch.folders.0 = 1: {TEXT}"),
    ("  offline: true", "  ofline: true", "fetch.ofline: unknown key; did you mean offline?"),
    ("  offline: true", "  offline: never", f'fetch.offline = "never": {FLAG}'),
    ("  gen: {gamma: 0.1}", "  gen: {gamma: 0.1, title: ' '}", 'detectors.gen.title = " ": expected a text'),
    ("    dataset: fashion_mnist", "    title: 3\n    dataset: fashion_mnist", f"benchmarks.clothes.title = 3: {TEXT}"),
    ("shards:", "shard:", "shard: unknown key; did you mean shards?"),
    ("  max_mb: 256", "  max_mb: 0", "shards.max_mb = 0: expected a number above 0"),
    ("  max_mb: 256", "  max_mb: 256 MB", f'shards.max_mb = "256 MB": {WHOLE}'),
    ("  materialise: true", "  materialize: true", "shards.materialize: unknown key; did you mean materialise?"),
    ("  materialise: true", "  materialise: sometimes", f'shards.materialise = "sometimes": {FLAG}'),
    ("  stream: null", "  stream: 3", f"shards.stream = 3: {TEXT}"),
    ("train:", "training:", "training: unknown key; did you mean train, "),
    ("  threads: 1", "  threads: -2", "train.threads = -2: expected a number above 0"),
    ("  threads: 1", "  epochs: 3", "train.epochs: unknown key; known: threads"),
    ("evaluate:", "evaluation:", "evaluation: unknown key; did you mean evaluate"),
    ("  batch_size: 256", "  batch_size: '256'", f'evaluate.batch_size = "256": {WHOLE}'),
    ("  batch_size: 256", "  batchsize: 256", "evaluate.batchsize: unknown key; did you mean batch_size?"),
    ("  precision: float32", "  precision: half", "expected float32, bfloat16 or float16"),
    ("  threads: 2", "  threads: 0", "evaluate.threads = 0: expected a number above 0"),
    ("  outputs: full", "  outputs: top5", 'evaluate.outputs = "top5": expected full or top20'),
    ("  shift_device: cpu", "  shift_device: cuda", "expected cpu, auto or torch"),
    ("bootstrap:", "bootstrap: 100\nbootstraps:", f"bootstrap = 100: {MAPPING}"),
    ("  resamples: 100", "  resamples: -1", "bootstrap.resamples = -1: expected 0 or more"),
    ("  resamples: 100", "  resamples: 1000000", "bootstrap.resamples = 1000000: expected 100000 or less"),
    ("  resamples: 100", "  resamples: 1e3", f'bootstrap.resamples = "1e3": {WHOLE}'),
    ("datasets:", "dataset:", "dataset: unknown key; did you mean datasets?"),
    ("  fashion_mnist:", "  Fashion:", f"datasets.Fashion: {NAME}"),
    ("  fashion_mnist:", "  fashion_mnits:", "no datasets named 'fashion_mnits' (did you mean fashion_mnist, "),
    ("  fashion_mnist:", "  fashion_mnist: []\n  digits:", f"datasets.fashion_mnist = []: {MAPPING}"),
    ("    slice:\n      train: [0.0, 1.0]", "    slice: 0.5", f"datasets.fashion_mnist.slice = 0.5: {MAPPING}"),
    ("      train: [0.0, 1.0]", "      train: [0.5]", "slice.train = [0.5]: expected 2 values"),
    ("      train: [0.0, 1.0]", "      train: [0.5, 0.2]", "train goes from 0.5 to 0.2; expected a rising pair"),
    ("      train: [0.0, 1.0]", "      val: [0, 2]", "slice.val.1 = 2: expected 1 or less"),
    ("      train: [0.0, 1.0]", "      test: [-1, 1]", "slice.test.0 = -1: expected 0 or more"),
    ("    subset:", "    subset: 300\n    other:", f"datasets.fashion_mnist.subset = 300: {MAPPING}"),
    ("      train: 300", "      train: 0", "subset.train = 0: expected a number above 0"),
    ("      train: 300", "      train: 1.5", "subset.train = 1.5: expected a whole number, or 1 or less"),
    ("      val: 100", "      val: all", f'subset.val = "all": {NUMBER}'),
    ("      test: 0.01", "      tset: 0.01", "subset.tset: unknown key; did you mean test?"),
    ("      test: 0.01", "      test: .inf", "subset.test: inf is no finite number"),
    ("    val_of_train: apart", "    val_of_train: no", "val_of_train = false: expected apart or within"),
    ("    on_error: fail", "    on_error: ignore", 'on_error = "ignore": expected fail or skip'),
    ("    redistribute: null", "    redistribute: CC-BY", f'redistribute = "CC-BY": {FLAG}'),
    ("    use: mnist", "    use: mnits", "datasets.mnist: no datasets named 'mnits' (did you mean mnist?)"),
    ("    use: mnist", "    use: ../mnist", f"{NAME}, or several joined by +"),
    ("    use: mnist", "    path: here", "datasets.mnist.path: unknown option of shiftbench.plugins.datasets.mnist"),
    ("shifts:", "shfts:", "shfts: unknown key; did you mean shifts"),
    ("    severities: [1, 3]", "    severities: []", "shifts.fog.severities = []: nothing is listed"),
    ("    severities: [1, 3]", "    severities: 3", f"shifts.fog.severities = 3: {LIST}"),
    ("    severities: [1, 3]", "    severities: [1, 1.0]", "shifts.fog.severities holds a value twice"),
    ("    severities: [1, 3]", "    severities: [6]", "shifts.fog.severities holds 6; allowed are 0 to 5"),
    ("    severities: [1, 3]", "    severities: ['3']", f'severities.0 = "3": {NUMBER}'),
    ("    severities: [1, 3]", "    severity: [1]", "shifts.fog.severity: unknown option of shiftbench.plugins"),
    ("    fresh: false", "    fresh: perhaps", f'shifts.fog.fresh = "perhaps": {FLAG}'),
    ("    materialise: null", "    materialise: 3", f"shifts.fog.materialise = 3: {FLAG}"),
    ("    materialise: null", "  mnist_to_digits: {materialise: true}", "a domain shift is other data"),
    ("  rising: {severities: [1, 3]}", "  raising: {}", "no streams named 'raising' (did you mean rising?)"),
    ("  rising: {severities: [1, 3]}", "  rising: {shift: 3}", f"streams.rising.shift = 3: {TEXT} "),
    ("streams:", "stream:", "stream: unknown key; did you mean streams, "),
    ("models:", "models: []\nmodel:", f"models = []: {MAPPING}"),
    ("    width: 8", "    width: -3", "models.convnet.width = -3: expected 1 or more (default 12)"),
    ("    width: 8", "    width: null", f"models.convnet.width = null: {WHOLE} (default 12)"),
    ("    width: 8", "    widht: 8", "unknown option of shiftbench.plugins.models.convnet; did you mean width?"),
    ("channels: 3", "channels: 4", "models.net.channels = 4: expected 1 or 3 (default 3)"),
    ("onnx, path: net.onnx, channels: 3", "onnx_detection, path: net.onnx", "'net' is of the task detection, and 'fa"),
    ("channels: 3", "channels: 1", "models.net.mean has 3 numbers"),
    ("channels: 3", "mean: [a, b, c]", "models.net.mean = [\"a\", \"b\", \"c\"]: expected a list, each a number"),
    ("channels: 3", "std: [1, 0, 1]", "models.net.std = [1, 0, 1]: expected numbers above 0"),
    ("use: onnx", "use: torchscript", "models.net.trust: a TorchScript file can read and write files of yours"),
    ("trainers:", "trainer:", "trainer: unknown key; did you mean trainers, "),
    ("    epochs: 1", "    epochs: 0", "trainers.erm.epochs = 0: expected 1 or more (default 12)"),
    ("    epochs: 1", "    epochs: many", f'trainers.erm.epochs = "many": {WHOLE} (default 12)'),
    ("    lr: 0.1", "    lr: 1e-3", "YAML reads 1e-3 as a text, write 0.001"),
    ("    lr: 0.1", "    lr: -0.1", "trainers.erm.lr = -0.1: expected 0 or more"),
    ("    lr: 0.1", "    lr: .nan", "trainers.erm.lr: nan is no finite number"),
    ("    lr: 0.1", "    learning_rate: 0.1", "trainers.erm.learning_rate: unknown option"),
    ("    train_on: null", "    train_on: label_noise", f'train_on = "label_noise": {SEVERITY}'),
    ("    train_on: null", "    train_on: fog/1.2.3", f'train_on = "fog/1.2.3": {SEVERITY}'),
    ("    train_on: null", "    train_on: fog/9", "expected a shift that can be applied, and a severity of 0 to 5"),
    ("    train_on: null", "    train_on: foq/1", "no shifts named 'foq' (did you mean fog?)"),
    ("optimizers:", "optimisers:", "optimisers: unknown key; did you mean optimizers?"),
    ("momentum: 0.9", "momentun: 1", "unknown option of shiftbench.plugins.optimizers.sgd; did you mean momentum?"),
    ("momentum: 0.9", "momentum: -0.9", "optimizers.sgd.momentum = -0.9: expected 0 or more"),
    ("methods:\n  plain: {}", "methods:\n  plane: {}", "no methods named 'plane' (did you mean plain?)"),
    ("gamma: 0.1", "gamma: [0.1, 0.5]", "a list of values is searched on validation OOD, and a benchmark"),
    ("gamma: 0.1", "gamma: [a]", f'detectors.gen.gamma = "a": {NUMBER}'),
    ("gamma: 0.1", "gama: 0.1", "unknown option of shiftbench.plugins.detectors.gen; did you mean gamma?"),
    ("detectors:\n", "detector:\n", "detector: unknown key; did you mean detectors?"),
    ("bins: 15", "bins: 0", "metrics.ece.bins = 0: expected 1 or more (default 15)"),
    ("metrics:\n", "metric:\n", "metric: unknown key; did you mean metrics, "),
    ("analyses:\n", "analysis:\n", "analysis: unknown key; did you mean analyses?"),
    ("benchmarks:\n", "benchmaks:\n", "benchmaks: unknown key; did you mean benchmarks?"),
    ("benchmarks:\n", "benchmaks:\n", "benchmarks is missing\n"),
    ("  clothes:", "  Clothes:", f"benchmarks.Clothes: {NAME}"),
    ("  clothes:", "  1:", "benchmarks.1: expected a text"),
    ("  clothes:", "  null:", "benchmarks: null cannot be a key"),
    ("  clothes:", "  empty:\n  clothes:", f"benchmarks.empty is empty: {MAPPING}"),
    ("  clothes:", "  bare: {}\n  clothes:", "benchmarks.bare.models is missing"),
    ("    dataset: fashion_mnist\n", "", "benchmarks.clothes.dataset is missing"),
    ("    dataset: fashion_mnist", "    dataset: [mnist]", f'benchmarks.clothes.dataset = ["mnist"]: {TEXT}'),
    ("    dataset: fashion_mnist", "    dataset: fashion-mnist", f'dataset = "fashion-mnist": {NAME}'),
    ("    dataset: fashion_mnist", "    dataset: fashion_mnits", "benchmarks.clothes.dataset asks for datasets"),
    ("    dataset: fashion_mnist", "    dataset: mnist", "ood names 'mnist', the benchmark's own dataset, which is ID"),
    ("    dataset: fashion_mnist", "    dataset: image_folder", "nothing says where 'image_folder' lies on this mach"),
    ("    split: test", "    split: tset", 'benchmarks.clothes.split = "tset": expected train, val or test'),
    ("      - architectures: [convnet]", "      - model: [convnet]", "models.0.model: unknown key; "),
    ("ures: [convnet]", "ures: convnet", f'models.0.architectures = "convnet": {LIST}'),
    ("      - architectures: [convnet]", "      - architectures: []", "models.0.architectures = []: nothing is listed"),
    ("      - architectures: [convnet]", "      - architectures: [convent]", "asks for models 'convent'"),
    ("ures: [convnet]", "ures: [tfidf]", "the trainer 'erm' trains torch models, and the model 'tfidf' ("),
    ("ures: [convnet]", "ures: [net]", "the trainer 'erm' trains torch models, and the model 'net' (onnx"),
    ("        trainers: [erm]", "        trainers: []", "models.0.trainers = []: nothing is listed"),
    ("        trainers: [erm]", "        trainers: [emr]", "asks for trainers 'emr'"),
    ("        trainers: [erm]", "        trainers: [given]", "params have no path for 'convnet'"),
    ("        trainers: [erm]", "        trainers: [pretrained]", "released weights of a model, and 'convnet'"),
    ("        trainers: [erm]", "        trainers: [boxes]", "0.trainers: 'boxes' is for detection, and 'fashion_"),
    ("        methods: [plain]", "        methods: [box_filters]", "0.methods: 'box_filters' is for detection, a"),
    ("        trainers: [erm]\n", "", "no trainers are named, and the model 'convnet' needs training"),
    ("    models:\n      - arch", "    models: []\n    w:\n      - arch", "benchmarks.clothes.models = []: noth"),
    ("        seeds: [0, 1]", "        seeds: [0, 0]", "models.0.seeds = [0, 0]: 0 stands twice"),
    ("        seeds: [0, 1]", "        seeds: 0..4", f'models.0.seeds = "0..4": {LIST}'),
    ("        seeds: [0, 1]", "        seeds: [-1]", "models.0.seeds.0 = -1: expected 0 or more"),
    ("        dataset: null", "        dataset: vader_amazon", "'vader_amazon' is of the task text_classification"),
    ("        methods: [plain]", "        methods: []", "models.0.methods = []: nothing is listed"),
    ("    methods: [plain]\n    sh", "    methods: [tnet]\n    sh", "clothes.methods asks for methods 'tnet'"),
    ("    shifts: [fog]", "    shifts: [foq]", "asks for shifts 'foq'"),
    ("    shifts: [fog]", "    shifts: [fog, fog]", "clothes.shifts = [\"fog\", \"fog\"]: 'fog' stands twice"),
    ("    shifts: [fog]", "    shifts: [fog+nope]", "asks for shifts 'fog+nope'"),
    ("    shifts: [fog]", "    shifts: [char_noise]", "char_noise changes the text of a sample"),
    ("    shifts: [fog]", "    shifts: [fog+char_noise]", "fog+char_noise changes the text of a sample"),
    ("    shifts: [fog]", "    shifts: [mnist_to_digits]", "'mnist_to_digits' is relative to 'mnist', but the benchma"),
    ("    shifts: [fog]", "    shifts: [domain]", "benchmarks.clothes: shifts.domain.dataset is missing"),
    ("    streams: []", "    streams: [raising]", "asks for streams 'raising'"),
    ("    ood: [mnist]", "    ood: mnist", f'clothes.ood = "mnist": {LIST}: [one, two], or a mapping of keys'),
    ("    ood: [mnist]", "    ood: {near: mnist}", f'benchmarks.clothes.ood.near = "mnist": {LIST}'),
    ("    ood: [mnist]", "    ood: {near: []}", "the group 'near' is empty; expected one or more datasets"),
    ("    ood: [mnist]", "    ood: [mnist, mnist]", "'mnist' stands twice"),
    ("    ood: [mnist]", "    ood: {near: [mnist], far: [mnist]}", "ood names 'mnist' twice; a set belongs to one gro"),
    ("    ood: [mnist]", "    ood: {digits: [mnist]}", "the group 'digits' is named like a dataset"),
    ("    ood: [mnist]", "    ood: [photo_boxes]", "'photo_boxes' is of the task detection"),
    ("    val_ood: []", "    val_ood: [mnist/test]", "mnist/test is also tested; options may not be chosen on"),
    ("    val_ood: []", "    val_ood: [digits/tset]", "expected a dataset, or one of its splits"),
    ("    val_ood: []", "    val_ood: [digits, digits/val]", "val_ood: digits/val stands twice"),
    ("    full_spectrum: false", "    full_spectrum: often", f'full_spectrum = "often": {FLAG}'),
    ("    detectors: [gen]", "    detectors: []", "benchmarks.clothes.ood: no detector looks at these sets"),
    ("    detectors: [gen]", "    detectors: [mps]", "asks for detectors 'mps'"),
    ("[ece, error, mce, auroc]", "[]", "benchmarks.clothes.metrics = []: nothing is listed"),
    ("[ece, error, mce, auroc]", "[acc]", "asks for metrics 'acc'"),
    ("[ece, error, mce, auroc]", "[map50]", "map50 is of another task: it reads scores, which reco"),
    ("[ece, error, mce, auroc]", "[ece, mce]", "mce is computed from 'error', which is not among"),
    ("normaliser: convnet-erm", "normaliser: nobody", "mce: its normaliser 'nobody' is none of the benchmark's models"),
    ("    ood: [mnist]\n", "", "auroc compares scores of detectors on OOD sets; name some under `ood:`"),
    ("    analyses: []", "    analyses: [nothing]", "asks for analyses 'nothing'"),
    ("    analyses: []", "    analyses: [separability, separability]", "'separability' stands twice"),
    ("    analyses: []", "    analyses: [separability]", "analyses.separability: no datasets named"),
    ("    features: [val]", "    features: [val, val]", "'val' stands twice"),
    ("    features: [val]", "    feature: [val]", "benchmarks.clothes.feature: unknown key; did you mean features?"),
]  # fmt: skip

FILES = {
    "": "is empty; expected a mapping of keys, `benchmarks:` among them",
    "# nothing": "is empty",
    "seed: 0": "benchmarks is missing",
    "benchmarks:": f"benchmarks is empty: {MAPPING}",
    "- a": "must be a mapping of keys (`key: value`), found a list",
    "seed:0": 'found only "seed:0"',
    "<html><body>404</body></html>": "is an HTML or XML page; expected YAML",
    "PK\x03\x04": "control characters are not allowed; expected a text file",
    "seed: caf\udce9": "is not UTF-8: byte 0xe9 at 9; save it as UTF-8",
    "\udcff\udcfes\0": "is not UTF-8: byte 0xff at 0",
    "\ufeffseed: one": f'seed = "one": {WHOLE}',
    "a: [": "line 2, column 1: did not find expected node content",
    "{seed: 0": "did not find expected ',' or '}'",
    "a:\n\t- b": "line 2, column 1: found character that cannot start any token; YAML is indented with spaces",
    "a: b: c": "line 1, column 5: mapping values are not allowed",
    "a: 'x": "found unexpected end of stream",
    "seed: 0\n  root: x": "line 2, column 7: mapping values are not allowed",
    "a: 1\n---\nb: 2": "line 2, column 1: but found another document",
    "a: 1\nb: 2\na: 3": "line 3, column 1: the key 'a' is there twice, also in line 1; remove one",
    "a: *b": "line 1, column 4: found undefined alias",
    "a: &a [*a]": "it is nested too deeply, or contains itself",
    "a: " + "[" * 900 + "]" * 900: "it is nested too deeply",
    "a0: &a0 [1, 1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 22)): (
        "its aliases repeat more than 1,000,000 values"
    ),
    "<<: 3": "line 1, column 5: expected a mapping or list of mappings for merging",
    "a: &a {x: 1}\nb:\n  <<: [*a, 3]": "line 3, column 12: expected a mapping for merging",
    "? [a]\n: b": "found unhashable key",
    "true: x": "true cannot be a key; expected a text (put it in quotes)",
    "1: x": "1: expected a text as a key",
    "a: !!set {x, y}": "is a value of another kind in YAML",
    "a: !!bool x": "line 1, column 4: x cannot be read as bool",
    "a: !!timestamp x": "line 1, column 4: x cannot be read as timestamp",
    "a: 2024-13-45": "line 1, column 4: 2024-13-45 cannot be read as timestamp: month must be in 1..12",
    "seed: 1" + "0" * 5000: "line 1, column 7: 1000",
    "a: !!python/object/apply:os.getcwd []": "could not determine a constructor",
}

JARGON = "Input should|Value error|constrained|Field required|tuple|NoneType|dictionary|<unicode string>|Traceback"
