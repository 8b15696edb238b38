//! Two honest sides with a path of their own, and somebody who sends them what he likes.

use super::app::{App, Greed, Task};
use super::node::{Costs, Node};
use super::{Attacker, Fault, Meter, Shot};
use crate::log::{Log, Sink, describe};
use crate::plan::{SECOND, Time};
use crate::report::{Rule, Violation};
use gapless_link::{Link, Profile};
use gapless_udx::EndpointConfig;
use std::net::{Ipv4Addr, SocketAddr};

/// What is attacked.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) seed: u64,
    /// The victim's settings and its partner's.
    pub(super) configs: [EndpointConfig; 2],
    pub(super) tasks: [Vec<Task>; 2],
    pub(super) greed: Greed,
    /// Between the honest sides.
    pub(super) path: Profile,
    /// From and to the attacker.
    pub(super) hostile_path: Profile,
    /// The honest transfers have to be through by then.
    pub(super) finish_by: Time,
    /// How long a datagram that arrived may wait for others, to be handed over with them.
    pub(super) receive_wait: Time,
    /// More is sent than the limits allow for: that honest sides are kept out breaks no rule.
    pub(super) may_fail: bool,
    /// How long the attack goes on against what is left when they are.
    pub(super) aftermath: Time,
}

/// What a run came to.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    /// When the honest transfers were through; `None` if they were kept out, and that was to be expected.
    pub(super) done_at: Option<Time>,
    pub(super) costs: [Costs; 2],
    /// The most that an address that proved nothing was sent for what came from it, in thousandths.
    pub(super) amplification: u64,
    pub(super) lasted: Time,
    /// Connections that each came to have.
    pub(super) connections: [u64; 2],
}

pub(super) struct World<'a, 'b> {
    setting: &'a Setting,
    now: Time,
    nodes: [Node; 2],
    /// By the honest side that sends into it.
    links: [Link<Ways>; 2],
    /// To the honest sides, and from them.
    hostile_links: [Link<Ways>; 2],
    attacker: Option<&'a mut (dyn Attacker + 'a)>,
    log: Log<'b>,
    steps: u64,
    done_at: Option<Time>,
    hung_up: bool,
    gave_up: bool,
}

#[derive(Clone, Copy)]
struct Ways {
    from: SocketAddr,
    to: SocketAddr,
}

/// The addresses of the victim and its partner (RFC 5737).
pub(super) fn address(node: usize) -> SocketAddr {
    (Ipv4Addr::new(192, 0, 2, 1 + node as u8), 4001).into()
}

/// Runs it to its end.
pub(super) fn run<'a>(
    setting: &'a Setting,
    attacker: Option<&'a mut (dyn Attacker + 'a)>,
    meter: Option<Meter>,
    sink: Option<Sink<'_>>,
) -> Result<Outcome, Violation> {
    let node = |index: usize| {
        let app = App::new(
            setting.seed,
            address(1 - index),
            setting.tasks[index].clone(),
            setting.greed,
        );
        let config = setting.configs[index].clone();
        let seed = setting.seed ^ (index as u64) << 60;
        let mut node = Node::new(address(index), address(1 - index), config, app, seed, meter);
        node.receive_wait = setting.receive_wait;
        for task in &setting.tasks[index] {
            node.ledger.dialed(task.to);
        }
        node
    };
    World {
        setting,
        now: 0,
        nodes: [node(0), node(1)],
        links: [0, 1].map(|way| Link::new(&setting.path, way)),
        hostile_links: [2, 3].map(|way| Link::new(&setting.hostile_path, way)),
        attacker,
        log: Log::new(sink),
        steps: 0,
        done_at: None,
        hung_up: false,
        gave_up: false,
    }
    .run()
}

impl World<'_, '_> {
    fn run(mut self) -> Result<Outcome, Violation> {
        while let Some(next) = self.next_time() {
            self.now = self.now.max(next);
            self.attack();
            self.deliver();
            for index in [self.steps as usize % 2, 1 - self.steps as usize % 2] {
                if self.nodes[index].wake_at().is_some_and(|at| at <= self.now) {
                    self.wake(index)?;
                }
            }
            if self.gave_up || self.advance()? {
                break;
            }
        }
        if self.done_at.is_none() && !self.gave_up {
            let detail = "nothing will ever happen again, and honest bytes are missing".into();
            return Err(self.violation(None, (Rule::Progress, detail)));
        }
        Ok(Outcome {
            done_at: self.done_at,
            costs: [self.nodes[0].costs, self.nodes[1].costs],
            amplification: self.nodes[0].ledger.worst.max(self.nodes[1].ledger.worst),
            lasted: self.now,
            connections: self
                .nodes
                .each_ref()
                .map(|node| node.endpoint.stats().connections),
        })
    }

    fn next_time(&self) -> Option<Time> {
        let links = self.links.iter().chain(&self.hostile_links);
        let links = links.filter_map(Link::next_delivery);
        let nodes = self.nodes.iter().filter_map(Node::wake_at);
        let attacker = self
            .attacker
            .iter()
            .filter_map(|attacker| attacker.next_at());
        links.chain(nodes).chain(attacker).min()
    }

    fn attack(&mut self) {
        let Some(attacker) = &mut self.attacker else {
            return;
        };
        if attacker.next_at().is_none_or(|at| at > self.now) {
            return;
        }
        let mut shots = Vec::new();
        attacker.act(self.now, &mut shots);
        for Shot { from, to, payload } in shots {
            self.log.line(self.now, || {
                format!("ATTACK   {from} to {to}  {}", describe(&payload))
            });
            self.hostile_links[0].send(self.now, &payload, Ways { from, to });
        }
    }

    fn deliver(&mut self) {
        for way in 0..2 {
            while let Some(delivery) = self.links[way].poll(self.now) {
                let Ways { from, to } = delivery.tag;
                // Who has a copy has it later than the one it was for.
                if let Some(attacker) = &mut self.attacker {
                    attacker.overhear(self.now, from, to, &delivery.payload);
                }
                self.nodes[1 - way].arrive(self.now, from, delivery.payload);
            }
        }
        while let Some(delivery) = self.hostile_links[0].poll(self.now) {
            let Ways { from, to } = delivery.tag;
            if let Some(node) = self.nodes.iter_mut().find(|node| node.address == to) {
                node.arrive(self.now, from, delivery.payload);
            }
        }
        while let Some(delivery) = self.hostile_links[1].poll(self.now) {
            let Ways { from, to } = delivery.tag;
            if let Some(attacker) = &mut self.attacker {
                attacker.hear(self.now, from, to, &delivery.payload);
            }
        }
    }

    fn wake(&mut self, index: usize) -> Result<(), Violation> {
        self.steps += 1;
        let mut out = Vec::new();
        let woken = self.nodes[index].wake(self.now, &mut out);
        for Shot { from, to, payload } in out {
            self.log.line(self.now, || {
                format!("{} to {to}  {}", NAMES[index], describe(&payload))
            });
            if to == self.nodes[1 - index].address {
                self.links[index].send(self.now, &payload, Ways { from, to });
            } else {
                self.hostile_links[1].send(self.now, &payload, Ways { from, to });
            }
        }
        match woken {
            Err((Rule::Harm, _)) if self.setting.may_fail => {
                self.gave_up = true;
                Ok(())
            }
            woken => woken.map_err(|fault| self.violation(Some(index), fault)),
        }
    }

    /// True when all is over.
    fn advance(&mut self) -> Result<bool, Violation> {
        if self.done_at.is_none() {
            let done = self.nodes.each_ref().map(|node| node.app.done_at());
            if let [Some(first), Some(second)] = done {
                self.done_at = Some(first.max(second));
                self.log
                    .line(self.now, || "all honest transfers are through".into());
            } else if self.now > self.setting.finish_by && self.setting.may_fail {
                self.gave_up = true;
            } else if self.now > self.setting.finish_by {
                let detail = format!("honest transfers are not through: {done:?}");
                return Err(self.violation(None, (Rule::Progress, detail)));
            }
        }
        let Some(done_at) = self.done_at else {
            return Ok(false);
        };
        let attack_is_over = self
            .attacker
            .as_ref()
            .is_none_or(|it| it.next_at().is_none())
            || self.now > done_at + self.setting.aftermath;
        if !attack_is_over {
            return Ok(false);
        }
        if !self.hung_up {
            self.hung_up = true;
            self.attacker = None;
            self.log.line(self.now, || "the attack is over".into());
            for node in &mut self.nodes {
                node.app.hang_up(&mut node.endpoint);
                node.wake_by(self.now);
            }
            return Ok(false);
        }
        self.is_forgotten()
    }

    /// Without an attack, nothing may be left of it.
    fn is_forgotten(&self) -> Result<bool, Violation> {
        let idle =
            |node: &Node| node.endpoint.is_idle() && node.endpoint.connections().count() == 0;
        if self.nodes.iter().all(idle) {
            return Ok(true);
        }
        if self.now > self.setting.finish_by + FORGETTING {
            let detail = "connections are left that nobody has".into();
            return Err(self.violation(None, (Rule::Memory, detail)));
        }
        Ok(false)
    }

    fn violation(&self, host: Option<usize>, (rule, detail): Fault) -> Violation {
        Violation {
            rule,
            at: self.now,
            host,
            detail,
        }
    }
}

const NAMES: [&str; 2] = ["victim ", "partner"];
/// An endpoint tells the peers of closed connections, and is quiet then.
const FORGETTING: Time = 120 * SECOND;
