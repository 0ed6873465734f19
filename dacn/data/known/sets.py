"""The data sets that dacn knows by name: what they are, whose, how large, and where their files lie. Reads no image."""

from dataclasses import replace

from dacn.data.known.data_set import DataSet
from dacn.data.known.photograph_sets import PHOTOGRAPH_SETS

CORRUPTIONS = (
    *("gaussian_noise", "shot_noise", "impulse_noise"),
    *("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    *("snow", "frost", "fog", "brightness"),
    *("contrast", "elastic_transform", "pixelate", "jpeg_compression"),
)
"""The fifteen of CIFAR-10-C: noise, blur, weather, digital (Hendrycks and Dietterich 2019, arXiv 1903.12261)."""

SEVERITIES = (1, 2, 3, 4, 5)
PACS_DOMAINS = {"photo": "photo", "art": "art_painting", "cartoon": "cartoon", "sketch": "sketch"}
"""Name to folder."""

OFFICE31_DOMAINS = ("amazon", "dslr", "webcam")


_DOWNLOAD = "data.download: true"
_UNSTATED = "none stated; research use"

_SVHN = DataSet(
    title="SVHN",
    what="house numbers in photographs",
    classes=10,
    images={"train": 73257, "test": 26032, "extra": 531131},
    pixels="32x32 RGB",
    licence="non-commercial use",
    source="http://ufldl.stanford.edu/housenumbers",
    citation="Netzer et al. 2011, NIPS workshop on deep learning and unsupervised feature learning",
    get=_DOWNLOAD,
    files=(("SVHN/train_32x32.mat", "SVHN/test_32x32.mat"), ("train_32x32.mat", "test_32x32.mat")),
)
_CIFAR10 = DataSet(
    title="CIFAR-10",
    what="small photographs of animals and vehicles",
    classes=10,
    images={"train": 50000, "test": 10000},
    pixels="32x32 RGB",
    licence=_UNSTATED,
    source="https://www.cs.toronto.edu/~kriz/cifar.html",
    citation="Krizhevsky 2009, Learning multiple layers of features from tiny images, technical report",
    get=_DOWNLOAD,
    files=(
        ("cifar-10-batches-py/data_batch_1", "cifar-10-batches-py/test_batch"),
        ("cifar10/train", "cifar10/test"),
    ),
    flips=True,
)

SETS: dict[str, DataSet] = {
    "digits": DataSet(
        title="digits",
        what="handwritten digits, and the same blended with photographs",
        classes=10,
        images={"source": 1352, "source_test": 445, "target": 5408, "target_test": 1780},
        pixels="8x8 grey, shown at 32x32",
        licence="CC BY 4.0 (digits), CC BY (photographs)",
        source="scikit-learn: load_digits, load_sample_images",
        citation="Alpaydin and Kaynak 1998 (UCI); blended after Ganin et al. 2016, arXiv 1505.07818",
        get="embedded",
        files=((),),
    ),
    "mnist": DataSet(
        title="MNIST",
        what="handwritten digits",
        classes=10,
        images={"train": 60000, "test": 10000},
        pixels="28x28 grey",
        licence="CC BY-SA 3.0",
        source="http://yann.lecun.com/exdb/mnist",
        citation="LeCun, Bottou, Bengio and Haffner 1998, Proc. IEEE 86(11)",
        get=_DOWNLOAD,
        files=(("MNIST/raw/train-images-idx3-ubyte", "MNIST/raw/t10k-images-idx3-ubyte"),),
    ),
    "usps": DataSet(
        title="USPS",
        what="scanned postal codes",
        classes=10,
        images={"train": 7291, "test": 2007},
        pixels="16x16 grey",
        licence=_UNSTATED,
        source="https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass.html#usps",
        citation="Hull 1994, IEEE TPAMI 16(5)",
        get=_DOWNLOAD,
        files=(("USPS/usps.bz2", "USPS/usps.t.bz2"), ("usps.bz2", "usps.t.bz2")),
    ),
    "svhn": _SVHN,
    "svhn_crops": replace(
        _SVHN,
        title="SVHN crops",
        what="digits cut from photographs of house numbers",
        images={"train": 73257, "test": 26032},
        source="http://ufldl.stanford.edu/housenumbers (format 1: train.tar.gz, test.tar.gz)",
        get="dacn data prepare svhn_crops",
        files=(("svhn_crops/train.npz",),),
    ),
    "mnist_m": DataSet(
        title="MNIST-M",
        what="handwritten digits blended with photographs",
        classes=10,
        images={"train": 60000, "test": 10000},
        pixels="32x32 RGB",
        licence="CC BY-SA 3.0 (MNIST) and that of your photographs",
        source="made from MNIST and a folder of photographs as the published one was from BSDS500; other patches",
        citation="Ganin et al. 2016, arXiv 1505.07818; Arbelaez et al. 2011, IEEE TPAMI 33(5) (BSDS500)",
        get="dacn data prepare mnist_m",
        files=(("mnist_m/train.npz", "mnist_m/test.npz"), ("mnist_m/grey_train.npz", "mnist_m/grey_test.npz")),
    ),
    "syn_digits": DataSet(
        title="synthetic digits",
        what="digits rendered from fonts",
        classes=10,
        images={"train": 60000, "test": 10000},
        pixels="32x32 RGB",
        licence="yours: rendered on your machine",
        source="rendered by dacn after the description of SYN DIGITS; not the original's 500,000 images",
        citation="Ganin et al. 2016, arXiv 1505.07818",
        get="dacn data prepare syn_digits",
        files=(("syn_digits/train.npz", "syn_digits/test.npz"),),
    ),
    "cifar10": _CIFAR10,
    "cifar10_c": DataSet(
        title="CIFAR-10-C",
        what="corrupted photographs of animals and vehicles",
        classes=10,
        images={"train": 50000, "test": 10000},
        pixels="32x32 RGB",
        licence="CC BY 4.0 (the official test images); as CIFAR-10 where made from it",
        source="https://zenodo.org/records/2535967, or made from CIFAR-10",
        citation="Hendrycks and Dietterich 2019, arXiv 1903.12261",
        get="dacn data prepare cifar10_c",
        files=tuple((f"cifar10_c/{kind}_{level}_test.npz",) for kind in CORRUPTIONS for level in SEVERITIES),
        flips=True,
    ),
    "cifar100": replace(
        _CIFAR10,
        title="CIFAR-100",
        what="small photographs of a hundred kinds of things",
        classes=100,
        files=(("cifar-100-python/train", "cifar-100-python/test"),),
    ),
    "stl10": DataSet(
        title="STL-10",
        what="photographs of animals and vehicles",
        classes=10,
        images={"train": 5000, "test": 8000, "unlabelled": 100000},
        pixels="96x96 RGB",
        licence=f"{_UNSTATED}; images from ImageNet",
        source="https://cs.stanford.edu/~acoates/stl10",
        citation="Coates, Lee and Ng 2011, AISTATS",
        get=_DOWNLOAD,
        files=(("stl10_binary/train_X.bin", "stl10_binary/test_X.bin"),),
        flips=True,
    ),
    "pacs": DataSet(
        title="PACS",
        what="photographs, paintings, cartoons and sketches",
        classes=7,
        images={"photo": 1670, "art": 2048, "cartoon": 2344, "sketch": 3929},
        pixels="227x227 RGB",
        licence=_UNSTATED,
        source="https://sketchx.eecs.qmul.ac.uk/downloads (PACS)",
        citation="Li, Yang, Song and Hospedales 2017, arXiv 1710.03077",
        get="dacn data prepare pacs",
        files=tuple(
            tuple(f"{place}/{folder}" for folder in PACS_DOMAINS.values()) for place in ("pacs", "PACS", "PACS/kfold")
        ),
        flips=True,
    ),
    "office31": DataSet(
        title="Office-31",
        what="product pictures, and photographs of the same things in an office",
        classes=31,
        images={"amazon": 2817, "dslr": 498, "webcam": 795},
        pixels="300x300 to 1000x1000 RGB",
        licence=_UNSTATED,
        source="https://faculty.cc.gatech.edu/~judy/domainadapt",
        citation="Saenko, Kulis, Fritz and Darrell 2010, ECCV",
        get="dacn data prepare office31",
        files=(tuple(f"office31/{folder}" for folder in OFFICE31_DOMAINS),),
        flips=True,
    ),
    **PHOTOGRAPH_SETS,
}
"""By the name that recipes call them by."""
