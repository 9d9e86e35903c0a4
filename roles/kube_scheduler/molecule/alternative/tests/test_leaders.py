"""Two schedulers: one leads, the other one stands by."""

from __future__ import annotations

from testinfra.host import Host

from roles.kube_scheduler.molecule.pods import pod
from tests.lab import Lab, eventually


def lead(lab: Lab) -> dict[str, object]:
    """Who leads, and what else is written of it."""
    (found,) = lab.objects("leases --namespace=kube-system --field-selector=metadata.name=kube-scheduler")
    return dict(found["spec"])


def leader(lab: Lab) -> Host:
    (found,) = [host for host in lab["control_plane"] if str(lead(lab)["holderIdentity"]).startswith(lab.name(host))]
    return found


def starts(lab: Lab, host: Host) -> str:
    return lab.sh(host, "systemctl show --property=InvocationID kube-scheduler")


def test_a_pod_gets_a_node_from_whoever_leads(lab: Lab) -> None:
    with pod(lab, "plain") as plain:
        assert plain.is_bound_to() in {"small", "large"}


def test_the_lead_lasts_as_long_as_the_user_says(lab: Lab) -> None:
    assert lead(lab)["leaseDurationSeconds"] == 4


def test_the_other_one_leads_when_the_leader_hangs(lab: Lab) -> None:
    hanging = leader(lab)
    before = starts(lab, hanging)
    lab.sh(hanging, "systemctl kill --signal=STOP kube-scheduler")
    try:
        with pod(lab, "meanwhile") as meanwhile:
            assert meanwhile.is_bound_to(40) in {"small", "large"}
        assert leader(lab) is not hanging
    finally:
        lab.sh(hanging, "systemctl kill --signal=CONT kube-scheduler")
    # It sees that it leads no more, and begins anew.
    eventually(lambda: starts(lab, hanging) != before, 20, "who lost the lead ends, and is started again")
    healthy = "curl --silent --insecure --max-time 5 https://127.0.0.1:10259/healthz"
    eventually(lambda: lab.sh(hanging, healthy) == "ok", 20, "who lost the lead stands by")
    assert leader(lab) is not hanging


def test_the_users_arguments_win_over_the_roles_own(lab: Lab) -> None:
    """The role has it listen for its own host only."""
    one, other = lab["control_plane"]
    ask = f"curl --silent --show-error --insecure --max-time 5 https://{lab.address(other)}:10259/healthz"
    assert lab.sh(one, ask) == "ok"
