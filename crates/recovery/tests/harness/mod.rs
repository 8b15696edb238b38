//! A sender's recovery against a truthful receiver over a bad pipe, in virtual time.

#![allow(dead_code, unreachable_pub)]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::ops::RangeInclusive;
use std::time::Duration;

use gapless_recovery::{
    Ack, AckOutcome, Algorithm, Bbr, Class, CommitError, Config, Congestion, Controller, Event,
    Instant, Numbering, Permission, Recovery,
};

/// How numbers are used and acknowledged.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum Form {
    /// A number per transmission, acknowledgements with history.
    Fresh,
    /// A number per transmission, each acknowledged alone and once (UDX: Dart).
    Single,
    /// A number per byte, kept for ever (TCP).
    Bytes,
}

#[derive(Clone, Debug)]
pub struct Pipe {
    pub loss: f64,
    pub duplicate: f64,
    pub reorder: f64,
    pub late_by: Duration,
    pub delay: Duration,
    pub jitter: Duration,
    /// Bits per second; the queue is unbounded.
    pub rate: Option<u64>,
    /// Nothing passes between these times, in both directions.
    pub blackout: Option<(Instant, Instant)>,
    /// Larger datagrams vanish.
    pub mtu: u32,
}

impl Default for Pipe {
    fn default() -> Self {
        Pipe {
            loss: 0.0,
            duplicate: 0.0,
            reorder: 0.0,
            late_by: Duration::from_millis(3),
            delay: Duration::from_millis(10),
            jitter: Duration::ZERO,
            rate: None,
            blackout: None,
            mtu: 1500,
        }
    }
}

pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    pub fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub fn chance(&mut self, probability: f64) -> bool {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64 <= probability && probability > 0.0
    }
}

#[derive(Clone, Debug)]
enum Datagram {
    Data {
        numbers: RangeInclusive<u64>,
        item: u64,
    },
    Ack {
        largest: u64,
        delay: Duration,
        ranges: Vec<RangeInclusive<u64>>,
    },
}

/// What a record carries: which item, and how many bytes of it (a split item has two records).
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct Item {
    pub id: u64,
    pub bytes: u32,
    pub part: u32,
    pub span: u64,
}

#[derive(Debug)]
struct Fixed(u64);

impl Controller for Fixed {
    fn on_sent(&mut self, _: Instant, _: u64, _: u64) {}
    fn on_ack(&mut self, _: &Ack<'_>) {}
    fn on_congestion(&mut self, _: &Congestion) {}
    fn on_persistent_congestion(&mut self, _: Instant) {}
    fn on_spurious_congestion(&mut self, _: Instant) {}
    fn on_mtu(&mut self, _: u16) {}
    fn on_path_change(&mut self, _: Instant) {}
    fn window(&self) -> u64 {
        self.0
    }
    fn ssthresh(&self) -> u64 {
        self.0
    }
    fn wants_rate_reduction(&self) -> bool {
        false
    }
}

pub struct World {
    pub form: Form,
    pub pipe: Pipe,
    pub now: Instant,
    pub recovery: Recovery<Item>,
    pub random: Random,
    pub events: Vec<Event>,
    /// With what the receiver said it waited.
    pub outcomes: Vec<(AckOutcome, Duration)>,
    /// How often each part of each item was reported as acknowledged.
    pub acked: BTreeMap<(u64, u32), u32>,
    pub numbers_sent: Vec<RangeInclusive<u64>>,
    pub item_numbers: BTreeMap<(u64, u32), BTreeSet<u64>>,
    pub to_send: u64,
    pub item_bytes: u32,
    pub next_item: u64,
    pub pings_every: u64,
    first_number: u64,
    queue: BinaryHeap<Reverse<(Instant, u64)>>,
    in_transit: BTreeMap<u64, Datagram>,
    serial: u64,
    link_free_at: [Instant; 2],
    received: BTreeMap<u64, u64>,
    received_items: BTreeSet<u64>,
    ack_delay: Duration,
    unacked: u32,
    ack_at: Option<Instant>,
    largest_at: Instant,
    largest: Option<u64>,
    pub max_ranges: usize,
    pub ack_every: u32,
    pub sent_at_instant: u64,
    pub max_in_flight: u64,
    pub check_every_step: bool,
}

impl World {
    pub fn new(form: Form, mut config: Config, pipe: Pipe, seed: u64) -> Self {
        config.numbering = if form == Form::Bytes {
            Numbering::Reuse
        } else {
            Numbering::Fresh
        };
        let now = Instant::from_nanos(1_000_000);
        World {
            form,
            pipe,
            now,
            first_number: config.first_number,
            recovery: match config.algorithm {
                Algorithm::Bbr => {
                    Recovery::with_controller(&config, now, Box::new(Bbr::new(&config)))
                }
                _ => Recovery::new(&config, now),
            },
            random: Random::new(seed),
            events: Vec::new(),
            outcomes: Vec::new(),
            acked: BTreeMap::new(),
            numbers_sent: Vec::new(),
            item_numbers: BTreeMap::new(),
            to_send: 0,
            item_bytes: 1200,
            next_item: 0,
            pings_every: 0,
            queue: BinaryHeap::new(),
            in_transit: BTreeMap::new(),
            serial: 0,
            link_free_at: [Instant::ZERO; 2],
            received: BTreeMap::new(),
            received_items: BTreeSet::new(),
            ack_delay: Duration::from_millis(25),
            unacked: 0,
            ack_at: None,
            largest_at: now,
            largest: None,
            max_ranges: 32,
            ack_every: 2,
            sent_at_instant: 0,
            max_in_flight: 0,
            check_every_step: true,
        }
    }

    /// A controller that never changes its mind, to look at loss detection alone.
    pub fn fix_window(&mut self, config: &Config, window: u64) {
        let mut config = config.clone();
        config.numbering = if self.form == Form::Bytes {
            Numbering::Reuse
        } else {
            Numbering::Fresh
        };
        self.recovery = Recovery::with_controller(&config, self.now, Box::new(Fixed(window)));
    }

    /// The bottleneck changes; what is underway arrives as it would have.
    pub fn set_rate(&mut self, bits_per_second: u64) {
        self.pipe.rate = Some(bits_per_second);
    }

    pub fn all_acked(&self) -> bool {
        self.next_item >= self.to_send && !self.recovery.has_unacknowledged()
    }

    /// Runs until everything is acknowledged or the time is over.
    pub fn run_until(&mut self, end: Instant) -> bool {
        loop {
            self.step();
            if self.all_acked() {
                return true;
            }
            let Some(next) = self.next_time() else {
                panic!("silent for ever with work left: {:?}", self.recovery)
            };
            if next >= end {
                self.now = end;
                return false;
            }
            assert!(next > self.now, "R9: {next:?} is not after {:?}", self.now);
            self.now = next;
        }
    }

    /// Goes on until nothing is on its way and no deadline is left.
    pub fn drain(&mut self) {
        loop {
            self.step();
            let Some(next) = self.next_time() else { return };
            self.now = next;
        }
    }

    pub fn next_time(&self) -> Option<Instant> {
        let arrivals = self.queue.peek().map(|Reverse((at, _))| *at);
        let pacer = match self.recovery.may_send(self.now, self.next_size()) {
            Permission::Pacer(at) if self.wants_to_send() => {
                assert!(at > self.now, "R9");
                Some(at)
            }
            _ => None,
        };
        [arrivals, pacer, self.recovery.next_deadline(), self.ack_at]
            .into_iter()
            .flatten()
            .min()
    }

    fn next_size(&self) -> u32 {
        let mtu = u32::from(self.recovery.mtu());
        self.recovery
            .next_lost()
            .map_or(self.item_bytes, |(_, item)| item.bytes)
            .min(mtu)
    }

    fn wants_to_send(&self) -> bool {
        self.next_item < self.to_send || self.recovery.next_lost().is_some()
    }

    /// Everything that is due now.
    pub fn step(&mut self) {
        while let Some(&Reverse((at, serial))) = self.queue.peek() {
            if at > self.now {
                break;
            }
            self.queue.pop();
            match self.in_transit.remove(&serial) {
                Some(Datagram::Data { numbers, item }) => self.receive(numbers, item),
                Some(Datagram::Ack {
                    largest,
                    delay,
                    ranges,
                }) => self.take_ack(largest, delay, &ranges),
                None => unreachable!(),
            }
            self.check();
        }
        if self.ack_at.is_some_and(|at| at <= self.now) {
            self.send_ack();
        }
        if self
            .recovery
            .next_deadline()
            .is_some_and(|at| at <= self.now)
        {
            self.recovery.on_timeout(self.now);
            let after = self.recovery.next_deadline();
            assert!(after.is_none_or(|at| at > self.now), "R9: {after:?}");
            self.check();
        }
        self.send();
        while let Some(event) = self.recovery.poll_event() {
            self.events.push(event);
        }
    }

    fn check(&self) {
        if self.check_every_step {
            assert_eq!(self.recovery.check(), Ok(()));
        }
    }

    fn send(&mut self) {
        self.sent_at_instant = 0;
        loop {
            if let Some(size) = self.recovery.poll_mtu_probe(self.now)
                && self.form != Form::Bytes
            {
                let item = Item {
                    id: u64::MAX,
                    bytes: u32::from(size),
                    part: 0,
                    span: 1,
                };
                let sent = self
                    .recovery
                    .commit(self.now, Class::MtuProbe, item.bytes, item)
                    .unwrap();
                self.transmit(sent.number..=sent.number, u64::MAX, item.bytes);
            }
            match self.recovery.may_send(self.now, self.next_size()) {
                Permission::Now | Permission::Probe => {}
                Permission::Congestion | Permission::Pacer(_) | Permission::LogFull => return,
            }
            if !self.send_one() {
                self.recovery.on_app_limited();
                return;
            }
            self.max_in_flight = self.max_in_flight.max(self.recovery.bytes_in_flight());
            self.sent_at_instant += 1;
            assert!(self.sent_at_instant < 100_000, "R8");
            self.check();
        }
    }

    fn send_one(&mut self) -> bool {
        if let Some((id, &item)) = self.recovery.next_lost() {
            if self.split_if_too_large(id, item) {
                return true;
            }
            self.resend(id, item);
            return true;
        }
        if self.next_item < self.to_send {
            return self.send_new();
        }
        if self.recovery.owes_probe()
            && let Some((id, &item)) = self.recovery.probe_candidate()
        {
            if !self.split_if_too_large(id, item) {
                self.resend(id, item);
            }
            return true;
        }
        false
    }

    fn split_if_too_large(&mut self, id: gapless_recovery::RecordId, item: Item) -> bool {
        let mtu = u32::from(self.recovery.mtu());
        if item.bytes <= mtu {
            return false;
        }
        let head = Item {
            bytes: mtu,
            part: item.part * 2 + 1,
            span: item.span * u64::from(mtu) / u64::from(item.bytes),
            ..item
        };
        let tail = Item {
            bytes: item.bytes - mtu,
            part: item.part * 2 + 2,
            span: item.span - head.span,
            ..item
        };
        self.recovery.split_span(id, head.span, head, tail).unwrap();
        true
    }

    fn resend(&mut self, id: gapless_recovery::RecordId, item: Item) {
        let before = self.recovery.next_number();
        let number = self.recovery.resend(self.now, id, item.bytes).unwrap();
        match self.form {
            Form::Bytes => assert_eq!(
                self.recovery.next_number(),
                before,
                "a resent record mints nothing"
            ),
            Form::Fresh | Form::Single => assert_eq!(number, before),
        }
        self.item_numbers
            .entry((item.id, item.part))
            .or_default()
            .insert(number);
        let end = if self.form == Form::Bytes {
            number + item.span - 1
        } else {
            number
        };
        self.transmit(number..=end, item.id, item.bytes);
    }

    fn send_new(&mut self) -> bool {
        let bytes = self.item_bytes.min(u32::from(self.recovery.mtu()));
        let span = if self.form == Form::Bytes {
            u64::from(bytes) - 40
        } else {
            1
        };
        let item = Item {
            id: self.next_item,
            bytes,
            part: 0,
            span,
        };
        let ping = self.form != Form::Bytes
            && self.pings_every > 0
            && item.id.is_multiple_of(self.pings_every);
        let class = if ping { Class::Once } else { Class::Reliable };
        match self
            .recovery
            .commit_span(self.now, class, bytes, span, item)
        {
            Ok(sent) => {
                self.next_item += 1;
                self.item_numbers
                    .entry((item.id, 0))
                    .or_default()
                    .insert(sent.number);
                self.transmit(sent.number..=sent.number + span - 1, item.id, bytes);
                true
            }
            Err(CommitError::LogFull) => false,
            Err(error) => panic!("{error:?}"),
        }
    }

    fn transmit(&mut self, numbers: RangeInclusive<u64>, item: u64, bytes: u32) {
        self.numbers_sent.push(numbers.clone());
        if bytes <= self.pipe.mtu {
            self.put(Datagram::Data { numbers, item }, bytes, 0);
        }
    }

    fn put(&mut self, datagram: Datagram, bytes: u32, direction: usize) {
        let dark = self
            .pipe
            .blackout
            .is_some_and(|(from, to)| self.now >= from && self.now < to);
        if dark || self.random.chance(self.pipe.loss) {
            return;
        }
        let copies = if self.random.chance(self.pipe.duplicate) {
            2
        } else {
            1
        };
        for _ in 0..copies {
            let mut at = self.now.max(self.link_free_at[direction]);
            if let Some(rate) = self.pipe.rate {
                at += Duration::from_nanos(u64::from(bytes) * 8 * 1_000_000_000 / rate);
                self.link_free_at[direction] = at;
            }
            at += self.pipe.delay;
            let jitter = u64::try_from(self.pipe.jitter.as_nanos()).unwrap();
            if jitter > 0 {
                at += Duration::from_nanos(self.random.below(jitter));
            }
            if self.random.chance(self.pipe.reorder) {
                at += self.pipe.late_by;
            }
            self.serial += 1;
            self.queue.push(Reverse((at, self.serial)));
            self.in_transit.insert(self.serial, datagram.clone());
        }
    }

    fn receive(&mut self, numbers: RangeInclusive<u64>, item: u64) {
        if item != u64::MAX {
            self.received_items.insert(item);
        }
        let (start, end) = numbers.into_inner();
        let in_order = self.largest.is_none_or(|largest| start == largest + 1);
        self.remember(start, end);
        if self.form == Form::Single {
            let ack = Datagram::Ack {
                largest: end,
                delay: Duration::ZERO,
                ranges: vec![start..=end],
            };
            return self.put(ack, 60, 1);
        }
        if self.largest.is_none_or(|largest| end > largest) {
            self.largest = Some(end);
            self.largest_at = self.now;
        }
        self.unacked += 1;
        if !in_order || self.unacked >= self.ack_every {
            self.send_ack();
        } else if self.ack_at.is_none() {
            self.ack_at = Some(self.now + self.ack_delay);
        }
    }

    fn remember(&mut self, mut start: u64, mut end: u64) {
        let touching: Vec<u64> = self
            .received
            .range(..=end.saturating_add(1))
            .rev()
            .take_while(|(_, last)| last.saturating_add(1) >= start)
            .map(|(first, _)| *first)
            .collect();
        for first in touching {
            let last = self.received.remove(&first).unwrap();
            start = start.min(first);
            end = end.max(last);
        }
        self.received.insert(start, end);
    }

    fn send_ack(&mut self) {
        self.unacked = 0;
        self.ack_at = None;
        let Some(largest) = self.largest else { return };
        let mut ranges: Vec<_> = self
            .received
            .iter()
            .rev()
            .take(self.max_ranges)
            .map(|(&first, &last)| first..=last)
            .collect();
        // TCP's cumulative acknowledgement is always there.
        if let (Form::Bytes, Some((&first, &last))) = (self.form, self.received.first_key_value())
            && ranges.last() != Some(&(first..=last))
        {
            ranges.push(first..=last);
        }
        let delay = self.now - self.largest_at;
        self.put(
            Datagram::Ack {
                largest,
                delay,
                ranges,
            },
            60,
            1,
        );
    }

    fn take_ack(&mut self, largest: u64, delay: Duration, ranges: &[RangeInclusive<u64>]) {
        let (received, acked) = (&self.received_items, &mut self.acked);
        let outcome = self
            .recovery
            .on_ack(self.now, largest, delay, ranges.iter().cloned(), |item| {
                if item.id != u64::MAX {
                    assert!(
                        received.contains(&item.id),
                        "acknowledged what never arrived"
                    );
                    *acked.entry((item.id, item.part)).or_default() += 1;
                }
            })
            .unwrap();
        self.outcomes.push((outcome, delay));
    }

    /// Every item arrived, and was reported exactly once for each of its parts.
    pub fn assert_complete(&self) {
        assert!(self.all_acked());
        for id in 0..self.to_send {
            if self.pings_every > 0
                && id.is_multiple_of(self.pings_every)
                && self.form != Form::Bytes
            {
                continue;
            }
            assert!(self.received_items.contains(&id), "item {id}");
            let parts: Vec<_> = self.acked.range((id, 0)..=(id, u32::MAX)).collect();
            assert!(!parts.is_empty(), "item {id} never reported");
            assert!(parts.iter().all(|(_, count)| **count == 1), "{parts:?}");
        }
    }

    /// Fresh: each number once and in order. Bytes: an item keeps its number, and numbers leave no gap.
    pub fn assert_numbers(&self) {
        if self.form == Form::Bytes {
            let mut expected = self.first_number;
            for id in 0..self.next_item {
                let numbers = &self.item_numbers[&(id, 0)];
                assert_eq!(numbers.len(), 1, "item {id} has {numbers:?}");
                assert_eq!(numbers.first(), Some(&expected));
                let last = self
                    .numbers_sent
                    .iter()
                    .find(|range| *range.start() == expected)
                    .unwrap();
                expected = last.end() + 1;
            }
        } else {
            for (index, range) in self.numbers_sent.iter().enumerate() {
                assert_eq!(*range.start(), self.first_number + index as u64);
                assert_eq!(range.start(), range.end());
            }
        }
    }

    pub fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| wanted(event)).count()
    }
}

pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
