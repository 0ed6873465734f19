"""The benchmarks of photographs that adaptation is compared on, as `dacn.data.known.sets` has all others."""

from dacn.data.known.data_set import DataSet

OFFICE_HOME_DOMAINS = {"art": "Art", "clipart": "Clipart", "product": "Product", "real": "Real World"}
VISDA_DOMAINS = {"synthetic": "train", "real": "validation"}
DOMAINNET_DOMAINS = ("clipart", "infograph", "painting", "quickdraw", "real", "sketch")
OFFICE_CALTECH_DOMAINS = ("amazon", "caltech", "dslr", "webcam")
IMAGE_CLEF_DOMAINS = {"caltech": "c", "imagenet": "i", "pascal": "p"}
"""Name to folder, as `dacn.data.known.sets.PACS_DOMAINS`."""

DOMAINNET_IMAGES = {
    **{"clipart": (33525, 14604), "infograph": (36023, 15582), "painting": (50416, 21850)},
    **{"quickdraw": (120750, 51750), "real": (120906, 52041), "sketch": (48212, 20916)},
}
"""Images for training and for testing, by the official lists of the cleaned version."""

PHOTOGRAPH_SETS: dict[str, DataSet] = {
    "office_home": DataSet(
        title="Office-Home",
        what="things of office and home, in art, clip art, product pictures and photographs",
        classes=65,
        images={"art": 2427, "clipart": 4365, "product": 4439, "real": 4357},
        pixels="up to 6500x4900 RGB",
        licence="non-commercial research; the images are their owners'",
        source="https://www.hemanthdv.org/officeHomeDataset.html",
        citation="Venkateswara, Eusebio, Chakraborty and Panchanathan 2017, arXiv 1706.07522",
        get="dacn data prepare office_home",
        files=(tuple(f"office_home/{folder}" for folder in OFFICE_HOME_DOMAINS.values()),),
        flips=True,
    ),
    "visda2017": DataSet(
        title="VisDA-2017",
        what="renderings of 3D models, and photographs of the same kinds of things",
        classes=12,
        images={"synthetic": 152397, "real": 55388},
        pixels="up to 640x480 RGB",
        licence="research use; the photographs are from MS COCO (Flickr's terms), the models from ShapeNet",
        source="http://ai.bu.edu/visda-2017 (train.tar, validation.tar)",
        citation="Peng et al. 2017, arXiv 1710.06924",
        get="dacn data prepare visda2017",
        files=(tuple(f"visda2017/{folder}" for folder in VISDA_DOMAINS.values()),),
        flips=True,
        class_mean=True,
    ),
    "domainnet": DataSet(
        title="DomainNet",
        what="clip art, infographics, paintings, quick drawings, photographs and sketches",
        classes=345,
        images={name: sum(counts) for name, counts in DOMAINNET_IMAGES.items()},
        pixels="up to 800x800 RGB",
        licence="fair use, non-commercial research; the images are their owners'",
        source="http://ai.bu.edu/M3SDA (cleaned version, with the lists NAME_train.txt and NAME_test.txt)",
        citation="Peng, Bai, Xia, Huang, Saenko and Wang 2019, arXiv 1812.01754",
        get="dacn data prepare domainnet",
        files=(tuple(f"domainnet/{name}_train.txt" for name in DOMAINNET_DOMAINS),),
        flips=True,
    ),
    "office_caltech10": DataSet(
        title="Office-Caltech-10",
        what="the ten things that Office-31 and Caltech-256 share",
        classes=10,
        images={"amazon": 958, "caltech": 1123, "dslr": 157, "webcam": 295},
        pixels="300x300 to 1000x1000 RGB",
        licence="none stated; research use",
        source="https://faculty.cc.gatech.edu/~judy/domainadapt (Office-Caltech)",
        citation="Gong, Shi, Sha and Grauman 2012, CVPR",
        get="dacn data prepare office_caltech10",
        files=(tuple(f"office_caltech10/{folder}" for folder in OFFICE_CALTECH_DOMAINS),),
        flips=True,
    ),
    "image_clef": DataSet(
        title="ImageCLEF-DA",
        what="photographs of the twelve things that Caltech-256, ImageNet and Pascal VOC share",
        classes=12,
        images={"caltech": 600, "imagenet": 600, "pascal": 600},
        pixels="of many sizes, RGB",
        licence="none stated; research use, on the terms of the three sets",
        source="https://www.imageclef.org/2014/adaptation",
        citation="Caputo and Patricia 2014, CLEF working notes",
        get="dacn data prepare image_clef",
        files=(tuple(f"image_clef/{folder}" for folder in IMAGE_CLEF_DOMAINS.values()),),
        flips=True,
    ),
}
