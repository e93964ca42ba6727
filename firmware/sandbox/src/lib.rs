//! What a process gives up before it reads its first byte from a stranger: a camera's worker before the camera speaks, the
//! set-up page's process before a browser does.
//!
//! Order matters: descriptors and limits first, then the user id (which needs root), then what the change of user
//! undoes (death signal, dumpable), last the system calls. The calls are a list of what is allowed; anything else
//! fails with EPERM, so that a library that probes for a feature goes on without it.

mod kernel;

use std::collections::BTreeMap;
use std::io;

use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl;
use nix::sys::resource::{Resource, rlim_t, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, chdir, geteuid, setgroups, setresgid, setresuid};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

pub use kernel::{inherited, limit_heaps};

/// Most address space of a camera's worker, bytes.
const ADDRESS_SPACE: rlim_t = 256 << 20;
/// Most open descriptors: link, epoll, RTSP, RTP and RTCP sockets, ONVIF, a resolver's.
const DESCRIPTORS: rlim_t = 64;
/// Most threads of the user `nobody`, over all workers.
const THREADS: rlim_t = 2048;
/// `nobody` and `nogroup` everywhere that boxd runs.
const NOBODY: u32 = 65534;

/// What a process is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// One camera: it needs the network.
    Camera,
    /// The set-up page: it needs the sockets that it was given, nothing else.
    Setup,
    /// Many cameras, none of which is looked after by name: it needs the network, and so much memory of its own, bytes
    /// (RLIMIT_DATA: what is written and not a file's).
    Cameras {
        /// The limit.
        data: rlim_t,
    },
    /// Updates: it needs the network, the disk's node and the state directory. It stays the user that may write the disk.
    Updater,
}

impl Duty {
    /// Most address space, bytes. A worker uses some 20 MiB of it, the largest access units (8 MiB) a few times that; the page
    /// a thread with its stack for each request under way, and 19 MiB for a password.
    const fn address_space(self) -> rlim_t {
        match self {
            Self::Camera | Self::Updater => ADDRESS_SPACE,
            Self::Setup => 512 << 20,
            // What counts is `data`; this is only the room in which it lies.
            Self::Cameras { .. } => 2 << 30,
        }
    }

    /// Most open descriptors. The page has two for each request under way.
    const fn descriptors(self) -> rlim_t {
        match self {
            Self::Camera | Self::Updater => DESCRIPTORS,
            Self::Setup => 256,
            Self::Cameras { .. } => 1024,
        }
    }
}

/// What could not be given up on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sandbox {
    /// Whether the system calls are restricted: not on a kernel without seccomp or on a processor without a filter.
    pub seccomp: bool,
    /// Whether the process left root. An ordinary user's process had nothing to leave.
    pub left_root: bool,
}

/// Enters the sandbox. Only for a process with one thread: the system-call filter covers the calling thread and those
/// that it starts.
///
/// # Errors
/// When anything but seccomp itself is refused.
pub fn enter(duty: Duty) -> io::Result<Sandbox> {
    kernel::close_from(3)?;
    enter_with_descriptors(duty)
}

fn enter_with_descriptors(duty: Duty) -> io::Result<Sandbox> {
    let (descriptors, address_space) = (duty.descriptors(), duty.address_space());
    // Whoever writes files finds them where the configuration says, which may begin here.
    if duty != Duty::Updater {
        chdir("/")?;
    }
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    setrlimit(Resource::RLIMIT_NOFILE, descriptors, descriptors)?;
    setrlimit(Resource::RLIMIT_AS, address_space, address_space)?;
    if let Duty::Cameras { data } = duty {
        setrlimit(Resource::RLIMIT_DATA, data, data)?;
    }
    let left_root = duty != Duty::Updater && geteuid().is_root() && leave_root()?;
    // A change of user clears both.
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    prctl::set_dumpable(false)?;
    prctl::set_no_new_privs()?;
    Ok(Sandbox { seccomp: restrict_calls(duty)?, left_root })
}

/// Becomes `nobody`; `false` in a user namespace that has no such user, where root is an ordinary user outside.
fn leave_root() -> io::Result<bool> {
    let unmapped = |error: Errno| matches!(error, Errno::EINVAL | Errno::EPERM);
    match setgroups(&[]) {
        Err(error) if unmapped(error) => return Ok(false),
        other => other?,
    }
    let group = Gid::from_raw(NOBODY);
    match setresgid(group, group, group) {
        Err(error) if unmapped(error) => return Ok(false),
        other => other?,
    }
    // Counted per user: only where the user is nobody else's.
    setrlimit(Resource::RLIMIT_NPROC, THREADS, THREADS)?;
    let user = Uid::from_raw(NOBODY);
    setresuid(user, user, user)?;
    Ok(true)
}

/// Installs the filters; `false` where the kernel or the processor has none.
fn restrict_calls(duty: Duty) -> io::Result<bool> {
    let Ok(arch) = TargetArch::try_from(std::env::consts::ARCH) else { return Ok(false) };
    for program in [threads_by_clone(arch), allowed_calls(arch, duty)] {
        let program = program.map_err(io::Error::other)?;
        match seccompiler::apply_filter(&program) {
            Ok(()) => {}
            Err(seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error))
                if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) =>
            {
                return Ok(false);
            }
            Err(error) => return Err(io::Error::other(error)),
        }
    }
    Ok(true)
}

/// `clone3` hides its flags from a filter: say that it does not exist, and the C library uses `clone`.
fn threads_by_clone(arch: TargetArch) -> Result<BpfProgram, seccompiler::BackendError> {
    let rules = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32), arch)?
        .try_into()
}

/// Allows what a worker, the async runtime and the C library's resolver need.
fn allowed_calls(arch: TargetArch, duty: Duty) -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = CALLS.iter().map(|call| (*call, Vec::new())).collect();

    // Threads, no processes.
    let thread = libc::CLONE_THREAD as u64;
    rules.insert(libc::SYS_clone, vec![rule(masked(0, thread, thread)?)?]);

    if duty == Duty::Setup {
        for call in [libc::SYS_connect, libc::SYS_bind, libc::SYS_listen, libc::SYS_socketpair] {
            rules.remove(&call);
        }
    } else {
        network_calls(&mut rules)?;
    }
    if duty == Duty::Updater {
        rules.extend(WRITING.iter().map(|call| (*call, Vec::new())));
    }

    // Memory is writable or executable, not both.
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        let without = |right: i32| masked(2, right as u64, 0).and_then(rule);
        rules.insert(call, vec![without(libc::PROT_WRITE)?, without(libc::PROT_EXEC)?]);
    }

    // Limits are read; signals go to the process itself.
    rules.insert(libc::SYS_prlimit64, vec![rule(equal(2, 0)?)?]);
    rules.insert(libc::SYS_tgkill, vec![rule(equal(0, u64::from(std::process::id()))?)?]);
    // Names of threads and of heap areas.
    let named = [libc::PR_SET_NAME, libc::PR_SET_VMA];
    rules.insert(
        libc::SYS_prctl,
        named.iter().map(|option| rule(equal(0, *option as u64)?)).collect::<Result<_, _>>()?,
    );

    SeccompFilter::new(rules, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow, arch)?
        .try_into()
}

/// What whoever goes into the network needs: files that are read, and sockets.
fn network_calls(rules: &mut BTreeMap<i64, Vec<SeccompRule>>) -> Result<(), seccompiler::BackendError> {
    // Files are read only, and never made.
    let creating = libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | (libc::O_TMPFILE & !libc::O_DIRECTORY);
    let reading = |argument| masked(argument, creating as u64, libc::O_RDONLY as u64).and_then(rule);
    rules.insert(libc::SYS_openat, vec![reading(2)?]);
    #[cfg(target_arch = "x86_64")]
    rules.insert(libc::SYS_open, vec![reading(1)?]);

    // The Internet, the resolver's local socket, the list of the box's own addresses. No raw packets.
    let mut sockets = Vec::new();
    for domain in [libc::AF_INET, libc::AF_INET6, libc::AF_UNIX] {
        for kind in [libc::SOCK_STREAM, libc::SOCK_DGRAM] {
            sockets.push(SeccompRule::new(vec![equal(0, domain as u64)?, masked(1, 0xf, kind as u64)?])?);
        }
    }
    let route = [equal(0, libc::AF_NETLINK as u64)?, equal(2, libc::NETLINK_ROUTE as u64)?];
    sockets.push(SeccompRule::new(route.to_vec())?);
    rules.insert(libc::SYS_socket, sockets);
    Ok(())
}

type Condition = Result<SeccompCondition, seccompiler::BackendError>;

fn rule(condition: SeccompCondition) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![condition])
}

fn equal(argument: u8, value: u64) -> Condition {
    SeccompCondition::new(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, value)
}

fn masked(argument: u8, mask: u64, value: u64) -> Condition {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(mask), value)
}

/// What writes the other slot and the state directory.
#[rustfmt::skip]
const WRITING: &[i64] = &[
    libc::SYS_openat, libc::SYS_pwrite64, libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_fadvise64, libc::SYS_flock,
    libc::SYS_mkdirat, libc::SYS_unlinkat, libc::SYS_renameat, libc::SYS_renameat2, libc::SYS_ftruncate,
    #[cfg(target_arch = "x86_64")] libc::SYS_open,
    #[cfg(target_arch = "x86_64")] libc::SYS_mkdir,
    #[cfg(target_arch = "x86_64")] libc::SYS_unlink,
    #[cfg(target_arch = "x86_64")] libc::SYS_rename,
];

/// Calls that are harmless whatever their arguments, in groups.
#[rustfmt::skip]
const CALLS: &[i64] = &[
    // streams and sockets that exist
    libc::SYS_read, libc::SYS_readv, libc::SYS_pread64, libc::SYS_write, libc::SYS_writev, libc::SYS_close,
    libc::SYS_recvfrom, libc::SYS_recvmsg, libc::SYS_recvmmsg, libc::SYS_sendto, libc::SYS_sendmsg,
    libc::SYS_sendmmsg, libc::SYS_connect, libc::SYS_bind, libc::SYS_shutdown, libc::SYS_socketpair,
    libc::SYS_getsockname, libc::SYS_getpeername, libc::SYS_getsockopt, libc::SYS_setsockopt,
    libc::SYS_fcntl, libc::SYS_ioctl, libc::SYS_lseek, libc::SYS_dup, libc::SYS_pipe2,
    // the local pipe in front of a camera (camera::session::pipe): its one connection comes from this process
    libc::SYS_listen, libc::SYS_accept4,
    // waiting
    libc::SYS_epoll_create1, libc::SYS_epoll_ctl, libc::SYS_epoll_pwait, libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2, libc::SYS_ppoll, libc::SYS_pselect6, libc::SYS_futex, libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep, libc::SYS_clock_gettime, libc::SYS_clock_getres, libc::SYS_gettimeofday,
    libc::SYS_restart_syscall,
    // looking at files
    libc::SYS_newfstatat, libc::SYS_fstat, libc::SYS_statx, libc::SYS_faccessat, libc::SYS_faccessat2,
    libc::SYS_readlinkat, libc::SYS_getdents64,
    // memory
    libc::SYS_munmap, libc::SYS_mremap, libc::SYS_madvise, libc::SYS_brk, libc::SYS_membarrier,
    // the process itself
    libc::SYS_getpid, libc::SYS_getppid, libc::SYS_gettid, libc::SYS_getuid, libc::SYS_geteuid,
    libc::SYS_getgid, libc::SYS_getegid, libc::SYS_uname, libc::SYS_sysinfo, libc::SYS_getrandom,
    libc::SYS_sched_yield, libc::SYS_sched_getaffinity, libc::SYS_set_robust_list, libc::SYS_rseq,
    libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask, libc::SYS_rt_sigreturn, libc::SYS_sigaltstack,
    libc::SYS_exit, libc::SYS_exit_group,
    // answered by the other filter
    libc::SYS_clone3,
    // spellings that only this processor has
    #[cfg(target_arch = "x86_64")] libc::SYS_epoll_wait,
    #[cfg(target_arch = "x86_64")] libc::SYS_poll,
    #[cfg(target_arch = "x86_64")] libc::SYS_select,
    #[cfg(target_arch = "x86_64")] libc::SYS_stat,
    #[cfg(target_arch = "x86_64")] libc::SYS_lstat,
    #[cfg(target_arch = "x86_64")] libc::SYS_access,
    #[cfg(target_arch = "x86_64")] libc::SYS_readlink,
    #[cfg(target_arch = "x86_64")] libc::SYS_time,
];

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "what a process that gave up its rights may still do is found out by trying it"
)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::ToSocketAddrs as _;
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    use nix::sys::resource::getrlimit;

    use super::*;

    const INSIDE: &str = "BOXD_TEST_INSIDE_SANDBOX";
    const NAME: &str = "tests::a_worker_can_neither_run_programs_nor_write_files";

    #[test]
    fn a_worker_can_neither_run_programs_nor_write_files() {
        if std::env::var_os(INSIDE).is_some() {
            return inside();
        }
        tries_everything_in_a_child(NAME);
    }

    /// Runs one of these tests again as a child process, whose test thread enters the sandbox and tries.
    fn tries_everything_in_a_child(test: &str) {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(INSIDE, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success(), "{said}{}", String::from_utf8_lossy(&child.stderr));
        assert!(said.contains("tried everything"), "{said}");
    }

    fn refused<T>(result: io::Result<T>) {
        let error = result.err().expect("must be refused");
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
    }

    fn inside() {
        let directory = std::env::temp_dir();
        let path = directory.join(format!("boxd-sandbox-{}", std::process::id()));
        // Not the permissions of files are tested but the filter: everyone may write here.
        std::fs::write("/dev/null", "x").unwrap();
        let sandbox = enter_with_descriptors(Duty::Camera).unwrap();
        assert!(sandbox.seccomp, "this kernel has no seccomp");

        refused(std::fs::write("/dev/null", "x"));
        refused(std::fs::write(&path, "x"));
        refused(std::fs::create_dir(&path));
        refused(std::fs::remove_file("/dev/null"));
        refused(Err::<(), _>(Command::new("/bin/true").exec()));
        refused(Command::new("/bin/true").spawn());
        refused(nix::sys::ptrace::traceme().map_err(io::Error::from));
        refused(nix::unistd::setsid().map_err(io::Error::from));
        refused(nix::sys::signal::kill(nix::unistd::Pid::from_raw(1), None).map_err(io::Error::from));
        refused(socket2::Socket::new(socket2::Domain::PACKET, socket2::Type::RAW, None));
        refused(socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::RAW, None));

        for (limit, most) in [
            (Resource::RLIMIT_CORE, 0),
            (Resource::RLIMIT_NOFILE, DESCRIPTORS),
            (Resource::RLIMIT_AS, ADDRESS_SPACE),
        ] {
            assert_eq!(getrlimit(limit).unwrap(), (most, most));
            assert!(setrlimit(limit, most + 1, most + 1).is_err());
        }
        assert!(prctl::get_no_new_privs().is_err() || prctl::get_no_new_privs().unwrap());

        // What a worker needs goes on: threads, files that are read, names, the network.
        std::thread::spawn(|| ()).join().unwrap();
        assert!(!std::fs::read("/proc/version").unwrap().is_empty());
        assert!(("localhost", 80).to_socket_addrs().unwrap().next().is_some());
        let listener = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(listener.local_addr().unwrap().port() != 0);
        let pipe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let _ours = std::net::TcpStream::connect(pipe.local_addr().unwrap()).unwrap();
        pipe.accept().unwrap();
        assert!(vec![0u8; 1 << 20].iter().all(|byte| *byte == 0));
        assert!(Vec::<u8>::new().try_reserve(ADDRESS_SPACE as usize).is_err());
        println!("tried everything");
    }

    const CAMERAS: &str = "tests::who_reads_many_cameras_has_its_memory_counted";

    #[test]
    fn who_reads_many_cameras_has_its_memory_counted() {
        if std::env::var_os(INSIDE).is_some() {
            let data = 64 << 20;
            assert!(
                enter_with_descriptors(Duty::Cameras { data }).unwrap().seccomp,
                "this kernel has no seccomp"
            );
            refused(std::fs::write("/dev/null", "x"));
            refused(Command::new("/bin/true").spawn());
            assert!(vec![0_u8; 16 << 20].iter().all(|byte| *byte == 0));
            assert!(Vec::<u8>::new().try_reserve(data as usize).is_err());
            println!("tried everything");
            return;
        }
        tries_everything_in_a_child(CAMERAS);
    }

    const UPDATER: &str = "tests::the_updater_writes_files_and_runs_no_program";

    #[test]
    fn the_updater_writes_files_and_runs_no_program() {
        if std::env::var_os(INSIDE).is_some() {
            let path = std::env::temp_dir().join(format!("boxd-sandbox-updater-{}", std::process::id()));
            assert!(enter_with_descriptors(Duty::Updater).unwrap().seccomp, "this kernel has no seccomp");
            std::fs::write(&path, "x").unwrap();
            std::fs::File::open(&path).unwrap().sync_all().unwrap();
            std::fs::remove_file(&path).unwrap();
            refused(Err::<(), _>(Command::new("/bin/true").exec()));
            refused(Command::new("/bin/true").spawn());
            refused(nix::sys::ptrace::traceme().map_err(io::Error::from));
            refused(nix::unistd::chroot("/").map_err(io::Error::from));
            refused(nix::sys::signal::kill(nix::unistd::Pid::from_raw(1), None).map_err(io::Error::from));
            refused(socket2::Socket::new(socket2::Domain::PACKET, socket2::Type::RAW, None));
            assert!(Vec::<u8>::new().try_reserve(ADDRESS_SPACE as usize).is_err());
            println!("tried everything");
            return;
        }
        tries_everything_in_a_child(UPDATER);
    }

    const PAGE: &str = "tests::the_page_has_no_network_and_no_file";

    #[test]
    fn the_page_has_no_network_and_no_file() {
        if std::env::var_os(INSIDE).is_some() {
            return inside_page();
        }
        tries_everything_in_a_child(PAGE);
    }

    fn inside_page() {
        let (mine, mut other) = std::os::unix::net::UnixStream::pair().unwrap();
        let path = std::env::temp_dir().join(format!("boxd-sandbox-page-{}", std::process::id()));
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let _client = std::os::unix::net::UnixStream::connect(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let sandbox = enter_with_descriptors(Duty::Setup).unwrap();
        assert!(sandbox.seccomp, "this kernel has no seccomp");

        refused(std::fs::read("/proc/version"));
        refused(std::fs::write("/dev/null", "x"));
        refused(std::net::TcpStream::connect("127.0.0.1:9"));
        refused(std::net::UdpSocket::bind("127.0.0.1:0"));
        refused(std::os::unix::net::UnixStream::connect("/dev/log"));
        refused(std::os::unix::net::UnixStream::pair());
        refused(Command::new("/bin/true").spawn());
        refused(nix::sys::signal::kill(nix::unistd::Pid::from_raw(1), None).map_err(io::Error::from));

        // What it was given goes on: its sockets, threads, random numbers.
        listener.accept().unwrap();
        std::thread::spawn(move || (&mine).write_all(b"x").unwrap()).join().unwrap();
        other.read_exact(&mut [0]).unwrap();
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut [0; 32]).unwrap();
        println!("tried everything");
    }
}
