"""``dacn data prepare``."""

import click

from dacn.cli.lazy import LazyGroup

DATA_SETS = {
    "mnist_m": ("dacn.data.prepare.mnist_m", "MNIST's digits blended with photographs of yours."),
    "syn_digits": ("dacn.data.prepare.syn_digits", "Digits rendered from fonts, in colour, with clutter."),
    "cifar10_c": ("dacn.data.prepare.cifar10_c", "CIFAR-10 under fifteen corruptions of five severities."),
    "svhn_crops": ("dacn.data.prepare.svhn_crops", "Digits cut from SVHN's full house-number images."),
    "pacs": ("dacn.data.prepare.pacs", "PACS, from an archive or folder that you fetched."),
    "office31": ("dacn.data.prepare.office31", "Office-31, from an archive or folder that you fetched."),
    "office_home": ("dacn.data.prepare.office_home", "Office-Home, from an archive or folder that you fetched."),
    "visda2017": ("dacn.data.prepare.visda2017", "VisDA-2017, from the archives or folder that you fetched."),
    "domainnet": ("dacn.data.prepare.domainnet", "DomainNet, from the archives or folder that you fetched."),
    "office_caltech10": ("dacn.data.prepare.office_caltech10", "Office-Caltech-10, from what you fetched."),
    "image_clef": ("dacn.data.prepare.image_clef", "ImageCLEF-DA, from an archive or folder that you fetched."),
}
"""Name to its module and one line of help, as in `dacn.cli`."""


@click.group(cls=LazyGroup, table=DATA_SETS)
def command() -> None:
    """Build or arrange a data set where `dacn data list` and recipes find it.

    What is there already is checked by its SHA-256 and left alone; an interrupted run is gone on with.

    \b
    Example:
      dacn data prepare mnist_m --help
      dacn data prepare pacs --from PACS.zip --root data
    """
