//! The port block: six consecutive ports of 127.0.0.1, one per service.
//!
//! All are bound before anything starts, so a port in use is found at once. Blocks that are picked
//! automatically begin at multiples of ten below the range of ephemeral ports: two stacks that pick the
//! same one collide on a port that is held for good.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{SystemTime, UNIX_EPOCH};

use thiserror::Error;
use tokio::net::TcpListener;

const SERVICES: [&str; 6] =
    ["HTTP API", "function URL", "Merge sandbox", "AWS services", "issuer", "Lambda Runtime API"];

const FIRST: u16 = 20_000;
const BLOCKS: u16 = 1_200;

/// Listeners of a block, in the order of the services.
#[derive(Debug)]
pub struct Ports {
    pub base: u16,
    pub api: TcpListener,
    pub function_url: TcpListener,
    pub sandbox: TcpListener,
    pub aws: TcpListener,
    pub issuer: TcpListener,
    pub runtime: TcpListener,
}

#[derive(Debug, Error)]
pub enum PortError {
    #[error("port {port} ({service}) is already in use: stop what uses it, or pass --port-base with another number")]
    InUse { port: u16, service: &'static str },
    #[error("port {port} cannot be opened: {source}")]
    Refused { port: u16, source: std::io::Error },
    #[error("--port-base {0} leaves no room for six ports")]
    TooHigh(u16),
    #[error("no six free consecutive ports were found")]
    NoneFree,
}

impl Ports {
    /// Binds the block at `base`, or any free one.
    pub async fn bind(base: Option<u16>) -> Result<Self, PortError> {
        if let Some(base) = base {
            return bind_at(base).await;
        }
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().subsec_nanos();
        let offset = ((clock / 1_000) ^ std::process::id().wrapping_mul(7_919)) as u16 % BLOCKS;
        for step in 0..BLOCKS {
            if let Ok(ports) = bind_at(FIRST + (offset + step) % BLOCKS * 10).await {
                return Ok(ports);
            }
        }
        Err(PortError::NoneFree)
    }
}

async fn bind_at(base: u16) -> Result<Ports, PortError> {
    let listen = async |index: u16| {
        let port = base.checked_add(index).ok_or(PortError::TooHigh(base))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        TcpListener::bind(address).await.map_err(|source| match source.kind() {
            ErrorKind::AddrInUse => PortError::InUse { port, service: SERVICES[usize::from(index)] },
            _ => PortError::Refused { port, source },
        })
    };
    Ok(Ports {
        base,
        api: listen(0).await?,
        function_url: listen(1).await?,
        sandbox: listen(2).await?,
        aws: listen(3).await?,
        issuer: listen(4).await?,
        runtime: listen(5).await?,
    })
}
