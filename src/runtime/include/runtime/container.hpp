#pragma once
// Making a container's first process. The caller must be single-threaded (the supervisor, or
// corten-runtime): the child is a copy of it that goes on in our code until execve.
//
//   auto created = TRY(create(std::move(request)));   // exists, set up, waits before execve
//   ... record created.init.process().pid() ...
//   TRY(created.start());                              // runs it, or says why it cannot
//
// Life cycle: when create() fails nothing is left: no process, cgroup, mount or namespace. When a
// Created is dropped, its init is killed and reaped; its cgroup stays until cgroup.remove().
#include <base/fd.hpp>
#include <base/result.hpp>
#include <oci/runtime_spec.hpp>
#include <sys/process.hpp>

#include <cgroup/group.hpp>

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace corten::runtime {

/// Borrowed descriptors that become 0, 1 and 2. Ignored when the process asks for a terminal.
/// An invalid one is /dev/null of the container.
struct Stdio {
    FdView in;
    FdView out;
    FdView err;
    /// Of a terminal: lines end as the program ends them, for who shows them in one of its own.
    bool keep_line_ends = false;
};

/// How long each step took, in the order of execution.
struct Timing {
    std::string phase;
    std::chrono::nanoseconds duration;
};

using MakeGroup = std::function<Result<cgroup::Group>()>;

struct LaunchRequest {
    oci::Spec spec;
    std::string id;
    std::string bundle;  ///< absolute; what a relative root.path is relative to
    /// A detached mount (fsmount, open_tree) that becomes "/" instead of spec.root.path.
    Fd root_mount;
    /// Namespaces to join by descriptor: "network", "ipc", "pid", ... Overrides the spec's paths,
    /// and joins also when the spec does not list the type.
    std::map<std::string, Fd> namespaces;
    /// What bind mounts show, by mounts[].destination: O_PATH descriptors that stand for the source
    /// where its path may lead elsewhere by now.
    std::map<std::string, Fd> mount_sources;
    /// A compiled program (array of sock_filter, see seccomp/compile.hpp) to load instead of
    /// compiling spec.linux.seccomp. The section's flags and listener still count.
    Fd seccomp_program;
    Stdio stdio;
    /// Descriptors 3 to 3+n-1 of the caller stay open in the container (LISTEN_FDS style).
    int preserve_fds = 0;
    /// The kernel kills the container when the caller's thread dies.
    bool die_with_parent = false;
    bool no_pivot = false;  ///< MS_MOVE and chroot, for a root on an initramfs
    bool no_new_keyring = false;
    /// A listening stream socket on which the process waits for its start instead of on
    /// Created::start(): see start_by_socket(). Lets another program start it.
    Fd start_listener;
    /// Gives the cgroup instead of linux.cgroupsPath. Called once nothing is found wrong with the
    /// configuration, so that what makes it has effects only then.
    MakeGroup make_cgroup;
    /// Where the group may not be made the container has none, and so no limits: Created::warnings
    /// says so. For an ordinary user who did not ask for a group.
    bool optional_cgroup = false;
};

class Created {
public:
    sys::OwnedChild init;
    Fd console_master;  ///< when spec.process.terminal
    /// Held so that the namespaces outlive the process for a moment (exit is seen before the
    /// teardown), and for exec. Invalid when the container shares the caller's, and when the caller
    /// is an ordinary user, who may not look into a process that is not to be looked into.
    Fd mount_ns;
    Fd net_ns;
    cgroup::Group cgroup;
    /// Without a mount namespace the mounts are in the caller's, all below one that lies on the
    /// root's directory. The caller takes that away after the container's end.
    bool mounts_on_host = false;
    std::vector<Timing> timings;
    std::vector<std::string> warnings;

    /// Lets the process execve, and returns once it has. The error of execve keeps its errno in
    /// number() (ENOENT, EACCES, ENOEXEC, ...) and its text begins with: exec: "name": , or where
    /// the kernel refuses a program that is there: exec name: .
    /// Must not be called when start_listener was given.
    Result<void> start();

    /// With start_listener: from here on the process waits for its start without us, whatever
    /// becomes of us. Until then it ends when we do. Its init is still to be detached.
    Result<void> release();

private:
    friend Result<Created> create(LaunchRequest request);
    Fd control_;
};

/// See above. Errors: invalid for a configuration that makes no sense, with the field's name;
/// conflict when the cgroup is in use; unsupported with the kernel's option; else that of the step.
Result<Created> create(LaunchRequest request);

/// Starts a container that was created with start_listener, from any process: `socket` is
/// connected to that listener. Same errors as Created::start(); conflict when another was faster.
Result<void> start_by_socket(FdView socket);

}  // namespace corten::runtime
