//! Who may ask the gate.

use std::fmt;
use std::net::IpAddr;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use ipnet::IpNet;

use super::GateProblem;
use crate::http::fields::{Fields, Values, only};
use crate::settings::SecretText;

const SECRET: &str = "x-hallpass-gate-secret";

/// Who may ask the gate: from where, and with which secret.
#[derive(Clone)]
pub struct GatePeers {
    networks: Vec<IpNet>,
    secret: Option<SecretText>,
}

impl fmt::Debug for GatePeers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatePeers")
            .field("networks", &self.networks)
            .finish_non_exhaustive()
    }
}

impl GatePeers {
    /// From these networks, with this secret if there is one.
    pub fn new(networks: &[IpNet], secret: Option<&SecretText>) -> Self {
        Self {
            networks: networks.to_vec(),
            secret: secret.cloned(),
        }
    }

    /// Whether the gate answers at all. `peer` is the other end of the connection; what headers say
    /// about addresses does not count here.
    ///
    /// # Errors
    /// [`GateProblem::Peer`], [`GateProblem::Secret`].
    pub fn check(&self, peer: Option<IpAddr>, headers: &impl Fields) -> Result<(), GateProblem> {
        let peer = peer.ok_or(GateProblem::Peer)?.to_canonical();
        if !self.networks.iter().any(|network| network.contains(&peer)) {
            return Err(GateProblem::Peer);
        }
        let Some(secret) = &self.secret else {
            return Ok(());
        };
        let Values::One(value) = only(headers, SECRET) else {
            return Err(GateProblem::Secret);
        };
        verify_slices_are_equal(value, secret.reveal().as_bytes()).map_err(|_| GateProblem::Secret)
    }
}
