//! Both ends: the engines' settings, and how they are polled.

use super::memory_bound;
use crate::choices::Draw;
use crate::plan::{Freeze, HostPlan, MS, Manners, SECOND, StreamPlan, Time};
use gapless_link::Random;
use gapless_udx::{Algorithm, EndpointConfig, Version, VersionChoice};

impl Draw<'_> {
    pub(super) fn hosts(&mut self, streams: &[StreamPlan], calm_from: Time) -> [HostPlan; 2] {
        let first_number = self.first_number();
        let mut hosts = [(); 2].map(|()| {
            let mut config = self.config();
            config.connection.first_number = first_number;
            HostPlan {
                memory_bound: memory_bound(&config.limits, streams.len()),
                manners: self.manners(calm_from),
                config,
                model: None,
            }
        });
        self.version(&mut hosts);
        hosts
    }

    /// Half of them begin where something wraps, or shortly before.
    fn first_number(&mut self) -> u64 {
        let edge = self.pick(&[0, 0, 0, 1_u64 << 31, 1 << 32, 1 << 16]);
        edge.saturating_sub(self.between(0, 150))
    }

    /// In which wire version the hosts speak, and where their streams begin.
    fn version(&mut self, hosts: &mut [HostPlan; 2]) {
        let both = vec![Version::V3, Version::V2];
        let wanted =
            |random: &mut Random| [0, 0, 0, 0, 1, 1, 2, 2, 2, 3][random.below(10) as usize];
        let (choice, accepted) = match self.proposed(4, wanted) {
            0 => (VersionChoice::Only(Version::V3), both),
            1 => (VersionChoice::Discover, both),
            2 => (VersionChoice::Only(Version::V2), both),
            // The dialer is told by a version negotiation.
            _ => (VersionChoice::Discover, vec![Version::V2]),
        };
        let first_position: u64 = self.pick(&[0, 0, 1 << 31, 1 << 32, 1 << 40]);
        let first_position = first_position.saturating_sub(self.between(0, 100_000));
        for host in hosts {
            host.config.connection.version = choice;
            host.config.connection.first_position = first_position;
            host.config.accept_versions.clone_from(&accepted);
        }
    }

    fn config(&mut self) -> EndpointConfig {
        let mut config = EndpointConfig::default();
        let connection = &mut config.connection;
        connection.algorithm = self.pick(&[
            Algorithm::Cubic,
            Algorithm::Cubic,
            Algorithm::NewReno,
            Algorithm::Bbr,
        ]);
        connection.pacing = !self.one_in(4);
        connection.mtu_search = !self.one_in(4);
        if self.one_in(3) {
            connection.initial_stream_window = self.scaled(1 << 16, 1 << 22);
        }
        if self.one_in(3) {
            connection.max_in_flight = self.scaled_down(1 << 22, 1 << 16);
        }
        if self.one_in(4) {
            connection.keep_alive = None;
        }
        let limits = &mut config.limits;
        if self.one_in(2) {
            limits.send_buffer = self.scaled_down(1 << 20, 2_000);
        }
        if self.one_in(2) {
            limits.receive_growth = self.scaled_down(1 << 20, 1);
        }
        if self.one_in(2) {
            // Not below what the protocol promises to a peer that was not told otherwise (UDX 8.5).
            limits.max_streams = 128;
        }
        if self.one_in(3) {
            limits.max_segments = self.scaled_down(64, 1) as usize;
        }
        config
    }

    pub(crate) fn manners(&mut self, calm_from: Time) -> Manners {
        if !self.chance(2, 3) {
            return Manners::GOOD;
        }
        Manners {
            late: self.wait(50 * MS),
            early: self.one_in(4).then(|| self.scaled_down(500 * MS, MS)),
            twice: self.one_in(3),
            receive_wait: self.wait(30 * MS),
            coalesce: !self.one_in(2),
            send_after_each: self.one_in(3),
            buffer: self.pick(&[64 * 1024, 1500, 1500, 3000, 10_000]),
            batches: self.pick(&[usize::MAX, usize::MAX, 1, 2, 10]),
            transmit_wait: self.wait(5 * MS),
            application_first: self.one_in(3),
            impatient: self.one_in(4),
            // Clocks of kernels go on by one or four milliseconds, that of Windows by 15.6.
            tick: self.pick(&[0, 0, 0, 0, MS, 4 * MS, 15_625 * 1_000]),
            freeze: self.one_in(10).then(|| Freeze {
                from: self.between(0, calm_from),
                length: self.scaled(20 * MS, 4 * SECOND),
            }),
        }
    }

    fn wait(&mut self, up_to: u64) -> u64 {
        if self.one_in(2) {
            self.scaled(MS / 100, up_to)
        } else {
            0
        }
    }
}
