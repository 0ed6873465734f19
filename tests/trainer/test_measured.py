from dacn.trainer.measured import ORACLE, shown_name


def test_only_what_target_labels_tell_is_marked() -> None:
    assert shown_name(f"{ORACLE}accuracy") == "oracle, not used/accuracy"
    for name in ("loss", "loss/source", "oracle", "target/oracle/accuracy"):
        assert shown_name(name) == name
