//! Loopback ports that no other test uses at the same time.
//!
//! A test process claims ports in blocks: it listens on the first port of a block for as long as it lives, which keeps
//! every other test process away from the rest of it. Within a block ports are counted up, and each is tried before
//! it is handed out. (An address per process would be simpler, but BIND listens only on addresses of an interface.)

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Mutex;

/// Where servers under test are, and where their own NOTIFY and transfer requests come from. A stranger is anything
/// that sends from another address, such as 127.0.0.2.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Ports are taken from here upwards: above the well-known ones and those of the demo ...
const FIRST_PORT: u16 = 10_000;
/// ... and below those that the kernel gives to clients, 32768 and up.
const BLOCKS: u16 = 700;
/// More than one test needs, so that most processes claim one block.
const BLOCK_SIZE: u16 = 32;

static CLAIMED: Mutex<Vec<Block>> = Mutex::new(Vec::new());

/// A free address and port, both UDP and TCP, handed out once.
pub fn reserve() -> SocketAddr {
    bind().1.local_addr().unwrap()
}

/// The same, already bound, for servers within the test. A port that was let go of may be taken for a moment still: whatever process
/// is being started by another thread holds all sockets of this one until it becomes another program.
pub fn bind() -> (UdpSocket, TcpListener) {
    let mut claimed = CLAIMED.lock().unwrap();
    loop {
        if let Some(bound) = claimed.last_mut().and_then(Block::next) {
            return bound;
        }
        claimed.push(Block::claim());
    }
}

/// `N` different ones as by [`reserve`].
pub fn reserve_many<const N: usize>() -> [SocketAddr; N] {
    std::array::from_fn(|_| reserve())
}

/// Ports that belong to this process while `_claim` is open.
struct Block {
    _claim: TcpListener,
    next: u16,
    end: u16,
}

impl Block {
    /// The first unclaimed block, looking from a place that differs from process to process.
    fn claim() -> Block {
        let start = (std::process::id() % u32::from(BLOCKS)) as u16;
        (0..BLOCKS)
            .map(|step| FIRST_PORT + (start + step) % BLOCKS * BLOCK_SIZE)
            .find_map(|port| {
                let claim = TcpListener::bind((ADDRESS, port)).ok()?;
                Some(Block { _claim: claim, next: port + 1, end: port + BLOCK_SIZE })
            })
            .expect("a block of loopback ports that nobody uses")
    }

    /// The next port of the block that can be bound; `None` when the block is used up.
    fn next(&mut self) -> Option<(UdpSocket, TcpListener)> {
        let mut rest = self.next..self.end;
        let bound = rest.find_map(|port| {
            let tcp = TcpListener::bind((ADDRESS, port)).ok()?;
            Some((UdpSocket::bind((ADDRESS, port)).ok()?, tcp))
        });
        self.next = rest.start;
        bound
    }
}
