# Makes a cluster of Vagrant's machines: each writes its part of the inventory as it comes up, and the last one to do so
# has Ansible run for all of them. They come up side by side (libvirt) or one after the other (VirtualBox).

require "fileutils"
require "open3"
require "set"
require "yaml"

module Kubeinstall
  ROOT = File.expand_path("../..", __dir__)

  # Whether libvirt runs machines on this computer's own processor, as it says.
  def self.kvm?
    Open3.capture3("virsh", "-c", "qemu:///system", "domcapabilities", "--virttype", "kvm").last.success?
  rescue Errno::ENOENT
    true # there is no libvirt, or it is elsewhere
  end

  def self.emulated?(machine)
    machine.provider_name == :libvirt && machine.provider_config.driver == "qemu"
  end

  # Of machines that are emulated: even sudo may take longer to ask for a password than Ansible waits for it, and a
  # controller that was not answered for ten seconds gives up its lease, and ends.
  SLOW = <<-YAML
    # The machines are emulated.
    cluster_ready_timeout: 600
    ansible_ssh_timeout: 60
    kube_controller_manager_extra_arguments: {leader-elect-lease-duration: 60s, leader-elect-renew-deadline: 40s}
    kube_scheduler_extra_arguments: {leader-elect-lease-duration: 60s, leader-elect-renew-deadline: 40s}
  YAML

  class InstallError < Vagrant::Errors::VagrantError
    error_message("The machines are up, but the cluster was not installed: what it said is above. Mend that and repeat `vagrant up`.")
  end

  # The inventory: hosts.yml says who is in which group, host_vars/NAME/vagrant.yml how a machine is reached.
  class Inventory
    def initialize(folder, control_planes, nodes)
      @folder = File.expand_path(folder, ROOT)
      @control_planes = control_planes
      @nodes = nodes
    end

    def learn(machine)
      name = machine.name.to_s
      address = @control_planes.merge(@nodes).fetch(name)
      put("hosts.yml", hosts(emulated: Kubeinstall.emulated?(machine)))
      put(own(name), "# Written by Vagrant.\n#{YAML.dump(way(machine, address)).delete_prefix("---\n")}")
      key = run(machine, "cat /etc/ssh/ssh_host_ed25519_key.pub").split.first(2).join(" ")
      put(known_hosts, (others(name) << "#{name},#{address} #{key}\n").sort.join)
    end

    # What is known of a cluster goes with its last machine.
    def forget(machine)
      name = machine.name.to_s
      FileUtils.rm_f(path(own(name)))
      put(known_hosts, others(name).join)
      FileUtils.rm_rf([path(".kubeinstall"), path("hosts.yml")]) if Dir.glob(path("host_vars/*/vagrant.yml")).empty?
      [path("host_vars/#{name}"), path("host_vars"), @folder].each { |empty| Dir.rmdir(empty) if Dir.exist?(empty) && Dir.empty?(empty) }
    end

    private

    def path(name)
      File.join(@folder, name)
    end

    def own(name)
      "host_vars/#{name}/vagrant.yml"
    end

    def known_hosts
      ".kubeinstall/ssh/known_hosts"
    end

    def others(name)
      File.exist?(path(known_hosts)) ? File.readlines(path(known_hosts)).reject { |line| line.start_with?("#{name},") } : []
    end

    def put(name, text)
      FileUtils.mkdir_p(File.dirname(path(name)))
      File.write("#{path(name)}.new", text)
      File.rename("#{path(name)}.new", path(name))
    end

    def run(machine, command)
      said = +""
      machine.communicate.execute(command) { |type, data| said << data if type == :stdout }
      said
    end

    def way(machine, address)
      found = {
        "ansible_host" => address,
        "node_address" => address,
        "ansible_user" => machine.ssh_info[:username],
        "ansible_ssh_private_key_file" => Array(machine.ssh_info[:private_key_path]).first.to_s,
      }
      # systemd-resolved (Ubuntu): what it listens at is out of pods' reach, and here is whom it asks.
      stub = machine.communicate.test("grep -q '^nameserver 127.0.0.53$' /etc/resolv.conf")
      stub ? found.merge("kubelet_resolv_conf" => "/run/systemd/resolve/resolv.conf") : found
    end

    def hosts(emulated:)
      lines = <<~YAML
        # Written by `vagrant up`, and written again by the next one. `vagrant destroy` removes it.
        # Your own variables go into group_vars/all/cluster.yml: files that Vagrant did not write stay.
        all:
          vars:
            # Vagrant read the host keys through its own connection: a host with another key is another host.
            ansible_ssh_common_args: >-
              -o 'UserKnownHostsFile="{{ inventory_dir }}/#{known_hosts}"'
              -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -o IdentityAgent=none
      YAML
      lines << SLOW if emulated
      lines << "  children:\n"
      groups = { "control_plane" => @control_planes, "etcd" => @control_planes, "node" => @nodes }
      groups.each do |group, members|
        lines << "    #{group}:\n      hosts:#{" {}" if members.empty?}\n"
        members.each_key { |name| lines << "        #{name}:\n" }
      end
      lines
    end
  end

  class Config < Vagrant.plugin("2", :config)
    attr_accessor :inventory, :control_planes, :nodes
  end

  class Provisioner < Vagrant.plugin("2", :provisioner)
    LOCK = Mutex.new
    READY = Set.new

    # Called before the machine is made.
    def configure(_root)
      return unless Kubeinstall.emulated?(@machine)

      @machine.ui.warn("KVM is not used: this machine is emulated, which is some ten times slower")
    end

    def provision
      LOCK.synchronize do
        inventory.learn(@machine)
        READY << @machine.name.to_s
        waiting = config.control_planes.merge(config.nodes).keys - READY.to_a
        if waiting.empty?
          install
        else
          @machine.ui.info("Ready. Ansible runs once all are, by this command; still to come: #{waiting.join(", ")}")
        end
      end
    end

    # Called when the machine is destroyed.
    def cleanup
      LOCK.synchronize { inventory.forget(@machine) }
    end

    private

    def inventory
      Inventory.new(config.inventory, config.control_planes, config.nodes)
    end

    def install
      command = [".venv/bin/kubeinstall", "apply", "-i", config.inventory]
      @machine.ui.info("All machines are ready: #{command.join(" ")}")
      # Without what Vagrant's own installation sets for its Ruby.
      done = Vagrant::Util::Env.with_original_env do
        system("tools/venv", chdir: ROOT) && system(*command, chdir: ROOT)
      end
      raise InstallError unless done
    end
  end

  class Plugin < Vagrant.plugin("2")
    name "kubeinstall"
    config(:kubeinstall, :provisioner) { Config }
    provisioner(:kubeinstall) { Provisioner }
  end
end
