//! Ports: six in a row that are free now.

use std::net::TcpListener;

/// The first of six free ports, below those that the system hands out by itself.
pub fn free_ports() -> u16 {
    let start = 15_000 + (std::process::id() % 300) as u16 * 10;
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let mut blocks = (0..400).map(|step| start + step * 10);
    blocks.find(|base| (*base..*base + 6).all(free)).expect("six free ports")
}
