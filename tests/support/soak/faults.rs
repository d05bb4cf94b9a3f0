//! What happens to the box office: its gateway hangs, its disk stalls, it is killed, and two of these at once.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use booking_core::dice::Dice;

use super::Office;
use crate::durable::Durable;
use crate::eventually;
use crate::server::Server;

/// How often, and of what.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// From one to the next, in milliseconds: at least, and as much more at most.
    pub between: (u64, u64),
    /// With how many of a hundred a kill comes, too.
    pub kills: u8,
}

/// What has happened.
#[derive(Clone, Debug, Default)]
pub struct Happened {
    /// How often the server was killed.
    pub kills: usize,
    /// How often the gateway hung.
    pub hangs: usize,
    /// How often the disk stalled.
    pub stalls: usize,
    /// What the server had logged when it was killed.
    pub log: String,
}

impl Happened {
    /// Whether everything has happened as often.
    #[must_use]
    pub fn each(&self, times: usize) -> bool {
        [self.kills, self.hangs, self.stalls].iter().all(|count| *count >= times)
    }
}

/// Has one fault after the other happen, until the office is to end. Keeps the server's process id in `process`; 0 while it is down.
///
/// # Panics
/// Where the server is not well some time afterwards.
pub fn happen(office: &Office, durable: &mut Durable, gateway: &Server, plan: Plan, process: &AtomicU32) {
    let mut dice = Dice::new(5);
    for kind in (0..3).cycle() {
        let between = plan.between.0 + dice.below(usize::try_from(plan.between.1).unwrap()) as u64;
        office.rest(Duration::from_millis(between));
        if office.ends() {
            return;
        }
        let fault = match kind {
            0 => Some(Fault::hang(gateway.id())),
            1 => Some(Fault::stall(process.load(Ordering::Relaxed))),
            _ => None,
        };
        if fault.is_some() {
            // Long enough for calls to time out, and for a commit to count as stuck.
            std::thread::sleep(Duration::from_millis(2_500 + dice.below(2_500) as u64));
        }
        let is_killed = dice.chance(plan.kills);
        let mut happened = office.happened.lock().unwrap();
        match fault {
            Some(Fault::Hang { .. }) => happened.hangs += 1,
            Some(Fault::Stall { .. }) => happened.stalls += 1,
            None => {}
        }
        if is_killed {
            process.store(0, Ordering::Relaxed);
            happened.log += &durable.kill();
            happened.log += "\n";
            happened.kills += 1;
            durable.start_again();
            process.store(durable.server.as_ref().unwrap().id(), Ordering::Relaxed);
        }
        drop((fault, happened));
        eventually(|| office.public.try_send("GET", "/health", &[], b"").ok().filter(|got| got.status == 200));
    }
}

/// Something that is not well while this lives.
enum Fault {
    /// The gateway takes connections, and says nothing.
    Hang {
        /// Its process.
        gateway: u32,
    },
    /// Every sync of the server's files takes three seconds: strace holds it up where it enters the kernel.
    Stall {
        /// Is at work at the server's process.
        strace: Child,
    },
}

impl Fault {
    fn hang(gateway: u32) -> Self {
        signal("-STOP", gateway);
        Self::Hang { gateway }
    }

    fn stall(process: u32) -> Self {
        let process = process.to_string();
        let stall = ["-f", "-qq", "-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_enter=3s", "-o", "/dev/null"];
        let mut strace = Command::new(xtask::strace::binary().unwrap());
        strace.args(stall).args(["-p", &process]).stdin(Stdio::null()).stdout(Stdio::null());
        let mut strace = strace.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(300));
        let ended = strace.try_wait().unwrap();
        assert!(ended.is_none(), "strace may not hold up a server: as root it may, or with kernel.yama.ptrace_scope=0");
        Self::Stall { strace }
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        match self {
            Self::Hang { gateway } => signal("-CONT", *gateway),
            Self::Stall { strace } => {
                signal("-TERM", strace.id());
                let _reaped = strace.wait();
            }
        }
    }
}

fn signal(which: &str, process: u32) {
    let _may_have_ended = Command::new("kill").args([which, &process.to_string()]).status();
}
