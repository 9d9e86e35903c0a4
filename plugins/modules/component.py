# The task runs in plugins/action/component.py; this file is its documentation, as for Ansible's own `template`.
from __future__ import annotations

DOCUMENTATION = r"""
module: component
short_description: Make one component of a cluster so on a host
description:
  - Says in one task what must be true of a service, and makes it true. Programs are delivered only where they differ, keys are
    made on the host and signed on the controller, files are written atomically, the service is restarted only if something it
    reads has changed, and the task ends when the service answers.
  - Check mode and diff are exact, and touch nothing.
  - Certificates are signed anew when they no longer do or have less than 30 days left; where the variable
    C(kubeinstall_renew_certificates) is true, all of them.
  - On a living cluster, hosts restart the service one after another or in batches, and none after a failure.
version_added: 0.1.0
author: The kubeinstall developers
options:
  name: {description: Name of the component; its record on the host is /var/lib/kubeinstall/NAME.json., type: str, required: true}
  user: {description: System user to make when missing., type: str}
  packages: {description: "Distribution packages: lists under C(debian) and C(redhat).", type: dict, default: {}}
  kernel_modules: {description: Kernel modules to load now and at boot., type: list, elements: str, default: []}
  sysctls: {description: "Kernel settings to make now and at boot; a removal puts the old ones back.", type: dict, default: {}}
  directories:
    description: Directories to make.
    type: list
    elements: dict
    default: []
    suboptions:
      path: {description: Absolute path., type: str, required: true}
      owner: {description: Owner., type: str, default: root}
      group: {description: "Group, by default the one named like the owner.", type: str}
      mode: {description: Mode in octal., type: str, default: "0755"}
  binaries:
    description: Programs, by name and version of the catalogue (C(kubeinstall components list)).
    type: list
    elements: dict
    default: []
    suboptions:
      names: {description: Names of the programs., type: list, elements: str, required: true}
      version: {description: Version of the component they belong to., type: str, required: true}
      directory: {description: Where they are installed., type: str, default: /usr/local/bin}
  certificates:
    description: Certificates; the key is made on the host and never leaves it.
    type: list
    elements: dict
    default: []
    suboptions:
      name: {description: Name of the certificate within the task., type: str, required: true}
      authority: {description: Who signs it., type: str, required: true, choices: [kubernetes, etcd, etcd-peer, front-proxy]}
      accepts:
        description: "More CAs: a certificate that one of them has issued stays with it."
        type: list
        elements: str
        choices: [kubernetes, etcd, etcd-peer, front-proxy]
        default: []
      common_name: {description: Common name of the subject., type: str, required: true}
      organizations: {description: Organizations of the subject., type: list, elements: str, default: []}
      names: {description: DNS names., type: list, elements: str, default: []}
      addresses: {description: IP addresses., type: list, elements: str, default: []}
      usages: {description: What it may be used for., type: list, elements: str, choices: [server, client], required: true}
      certificate: {description: Path of the certificate., type: str, required: true}
      key: {description: Path of the key., type: str, required: true}
      owner: {description: Owner of both., type: str, default: root}
      reload:
        description:
          - Whether the running service reads a new certificate by itself, and is not restarted for it.
          - C(unless_expired) is for clients whose open connections go on with the certificate that they began with. Where that one
            has expired, a restart brings new ones.
        type: str
        choices: [never, unless_expired, always]
        default: never
  certificates_first:
    description:
      - Where certificates that the running service reads by itself are renewed, install these and nothing else, and return
        RV(deferred). The same task with O(await_ready) does the rest, once all hosts have theirs.
    type: bool
    default: false
  await_ready:
    description: Do what O(certificates_first) has left, and wait until the service is ready also where nothing has to be changed.
    type: bool
    default: false
  ca_change:
    description:
      - A certificate that changes to another CA, on all hosts in step. The files and O(certificates) say what is trusted and by whom
        the certificate is issued; RV(ca_change) says how far the host is.
    type: dict
    suboptions:
      certificate: {description: "Name of the certificate, of O(certificates).", type: str, required: true}
      authority: {description: The new CA., type: str, required: true, choices: [kubernetes, etcd, etcd-peer, front-proxy]}
      files:
        description: "Paths of what a host trusts: it has not completed the change where one of them differs."
        type: list
        elements: str
        default: []
      state:
        description:
          - "What to do on a host that has not completed it. C(refuse) fails. C(leave) touches nothing."
          - C(trust), C(issue) and C(finish) make the host so, each once all hosts have done the one before.
        type: str
        choices: [refuse, leave, trust, issue, finish]
        default: refuse
  kubeconfigs:
    description: Kubeconfig files that refer to certificates by path.
    type: list
    elements: dict
    default: []
    suboptions:
      dest: {description: Path., type: str, required: true}
      server: {description: URL of the API., type: str, required: true}
      authority: {description: Path of the API's authority., type: str, required: true}
      certificate: {description: Path of the client certificate., type: str, required: true}
      key: {description: Path of the client key., type: str, required: true}
      user: {description: Name of the user entry., type: str, required: true}
      owner: {description: Owner., type: str, default: root}
  files:
    description: "Files; exactly one of O(files[].src), O(files[].content) and O(files[].pki)."
    type: list
    elements: dict
    default: []
    suboptions:
      src: {description: "Template of the role. C(pki.read(NAME)) reads a shared file of the PKI directory.", type: str}
      content: {description: The content itself., type: str}
      pki: {description: "A shared file of the PKI directory, such as C(kubernetes/ca.crt).", type: str}
      dest: {description: Path., type: str, required: true}
      owner: {description: Owner., type: str, default: root}
      group: {description: "Group, by default the one named like the owner.", type: str}
      mode: {description: Mode in octal., type: str, default: "0600"}
      secret: {description: Its content is never shown., type: bool, default: false}
      restart: {description: Whether the service has to be restarted to read it., type: bool, default: true}
      reload: {description: "Whether the service reads it again when it is reloaded, and goes on meanwhile.", type: bool, default: false}
      only_if_missing: {description: Consider the file only while this path does not exist on the host., type: str}
      after_ready: {description: Write it only when the service is ready., type: bool, default: false}
      identity:
        description:
          - Regular expression with one group, for the keys in the file. Where a host has the file and none of the keys in it is among
            the wanted ones, the task fails, for the host belongs to another cluster. A file that O(files[].pki) names has to be equal as a whole.
        type: str
  images:
    description: Container images that are made from a program and loaded, where they are missing and their registry does not answer.
    type: list
    elements: dict
    default: []
    suboptions:
      reference: {description: "Full reference, registry included.", type: str, required: true}
      binary: {description: The program in it., type: str, required: true}
      version: {description: Its version., type: str, required: true}
      path: {description: Its path in the image., type: str, required: true}
      entrypoint: {description: The command., type: list, elements: str, required: true}
  unit: {description: Template of the systemd unit; NAME.service.j2 becomes NAME.service., type: str}
  ready:
    description: What has to be true before the task ends. Without it the unit has to be active.
    type: dict
    suboptions:
      url: {description: URL that has to answer., type: str}
      socket: {description: Unix socket that has to accept a connection., type: str}
      cri: {description: Unix socket where the container runtime has to report by CRI that it runs pods., type: str}
      file: {description: File that has to exist., type: str}
      kubeconfig: {description: Path of a kubeconfig of this component's, for O(ready.node) and O(ready.lease)., type: str}
      node:
        description: The host's Node, which has to be Ready by a heartbeat since the start, once the host has a CNI configuration.
        type: str
      lease: {description: Lease of C(kube-system) that a leader has to renew after a restart., type: str}
      followers:
        description: Services of the host that use this one. Those that ran before a restart have to run and be ready after it.
        type: list
        elements: dict
        default: []
        suboptions:
          unit: {description: Name of the unit., type: str, required: true}
          ready: {description: "As O(ready), without followers.", type: dict, required: true}
      ca: {description: "Authority of the URL's certificate; without it the certificate is not checked.", type: str}
      certificate: {description: Client certificate., type: str}
      key: {description: Client key., type: str}
      status: {description: HTTP status that counts as ready., type: int, default: 200}
      timeout: {description: "Seconds to wait; by default the variable C(kubeinstall_ready_timeout), else 120.", type: int}
  spare:
    description:
      - What has to be so before a unit that does its work is restarted; otherwise the task fails and nothing was touched.
      - Without it only the order of hosts is kept.
    type: dict
    suboptions:
      etcd_member: {description: Name of the member of etcd that this is; the others have to be a quorum., type: str}
      peers: {description: URLs of which at least one has to answer; none are needed where none are given., type: list, elements: str, default: []}
      ca: {description: Authority of the peers' certificates., type: str}
  begins_with:
    description: Hosts whose data begins together with this one's, itself among them. Without all of them in the run, none begins.
    type: list
    elements: str
    default: []
  at_once:
    description: How many hosts may restart it at the same time; by default the variable C(kubeinstall_restarts_at_once), else one.
    type: int
  alike:
    description:
      - Files of O(files) without which hosts do not understand each other. Where one changes on a host that does its work, the hosts
        do not take turns. One restarts, and when it is ready all others do at the same time; what is between is an outage.
    type: list
    elements: str
    default: []
  one_way:
    description:
      - Whether another minor version of its programs changes its data, so that the former one may not read it any more.
      - A unit that does not become ready after a change gets its former files and programs back and is started with them. After such
        a change of version it does not.
    type: bool
    default: false
  without_data:
    description:
      - What to do on a host that lacks what O(files[].only_if_missing) names, once the cluster was formed.
      - C(refuse) fails, for it would begin a second cluster. C(leave) touches nothing, and returns RV(joins). C(join) goes on, for
        the files say how it joins the others.
    type: str
    choices: [refuse, leave, join]
    default: refuse
  replaces:
    description: Components in whose place this one comes, by the names of their records.
    type: list
    elements: str
    default: []
  replacing:
    description:
      - What to do on a host that has one of O(replaces) still, whose pods would end with it.
      - C(refuse) fails. C(leave) gets what this one needs, touches nothing else, and returns RV(replaces). C(proceed) goes on, for it was taken away before; its
        record is there until the change is complete.
    type: str
    choices: [refuse, leave, proceed]
    default: refuse
  pki_directory: {description: "Where the authorities are, on the controller; by default the variable C(kubeinstall_pki_directory).", type: str}
attributes:
  check_mode: {description: Exact., support: full}
  diff_mode: {description: "Exact, secrets masked.", support: full}
"""

EXAMPLES = r"""
- name: Run the etcd member
  kubeinstall.cluster.component:
    name: etcd
    user: etcd
    binaries: [{names: [etcd, etcdctl, etcdutl], version: 3.6.14}]
    unit: etcd.service.j2
    ready: {url: "http://127.0.0.1:2381/readyz"}
"""

RETURN = r"""
changes: {description: One sentence for each difference., type: list, returned: always}
deferred: {description: True where certificates were renewed first and the rest was left., type: bool, returned: when it was}
ca_change:
  description:
    - "How far the host is: C(former), its certificate is one of the former CA; C(own), of the new one, and both are trusted still."
  type: str
  returned: while the change is not complete
joins: {description: True where a host without data was left as it is., type: bool, returned: when it was}
replaces: {description: What is on the host still and was left as it is., type: list, elements: str, returned: when it was}
"""
