//! What each call means at the end of a connection: the table in `docs/tcp.md`, row by row.

use super::net::*;
use gapless_tcp::{CloseReason, Config, Id, ReadError, StackConfig, State, WriteError};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
/// More than any buffer here: it takes many round trips.
const MUCH: usize = 200_000;

/// Two stacks with a connection: who dialed it, who accepted it.
struct Pair {
    net: Net,
    ids: [Id; 2],
}

impl Pair {
    fn new() -> Self {
        let mut net = Net::pair();
        net.stacks[1].listen(None, Some(7), 10, false).unwrap();
        let now = net.now;
        let dialed = net.stacks[0].connect(now, None, end(1, 7)).unwrap();
        net.wait(SECOND);
        let (accepted, _) = net.stacks[1].accept().unwrap();
        Self {
            net,
            ids: [dialed, accepted],
        }
    }

    fn write(&mut self, host: usize, octets: &[u8]) -> Result<usize, WriteError> {
        self.net.stacks[host].write(self.ids[host], octets)
    }

    fn read(&mut self, host: usize) -> Result<Vec<u8>, ReadError> {
        let mut room = vec![0; MUCH];
        let read = self.net.stacks[host].read(self.ids[host], &mut room)?;
        room.truncate(read);
        Ok(room)
    }

    /// Everything up to the end of the peer's stream, or what ended it.
    fn read_to_end(&mut self, host: usize) -> Result<Vec<u8>, ReadError> {
        let mut all = Vec::new();
        let mut outcome = Err(ReadError::WouldBlock);
        let id = self.ids[host];
        self.net.run(SECOND * 30, |net| {
            let mut room = [0; 5000];
            loop {
                match net.stacks[host].read(id, &mut room) {
                    Ok(0) => outcome = Ok(()),
                    Ok(read) => {
                        all.extend_from_slice(&room[..read]);
                        continue;
                    }
                    Err(ReadError::WouldBlock) => {}
                    Err(error) => outcome = Err(error),
                }
                break;
            }
        });
        outcome.map(|()| all)
    }

    fn shutdown(&mut self, host: usize) {
        let now = self.net.now;
        self.net.stacks[host].shutdown(now, self.ids[host]);
    }

    fn release(&mut self, host: usize) {
        let now = self.net.now;
        self.net.stacks[host].release(now, self.ids[host]);
    }

    fn abort(&mut self, host: usize) {
        let now = self.net.now;
        self.net.stacks[host].abort(now, self.ids[host]);
    }

    fn wait(&mut self) {
        self.net.wait(SECOND);
    }

    fn is_flushed(&self, host: usize) -> bool {
        let connection = self.net.stacks[host].connection(self.ids[host]);
        connection.unwrap().is_flushed()
    }

    fn state(&self, host: usize) -> State {
        let connection = self.net.stacks[host].connection(self.ids[host]);
        connection.unwrap().state()
    }
}

const RESET: CloseReason = CloseReason::Reset;

/// W1: letting go of a connection gives up nothing that was written.
#[test]
fn release_delivers_what_was_written() {
    let mut pair = Pair::new();
    let data: Vec<u8> = (0..MUCH).map(|n| (n >> 3) as u8).collect();
    assert_eq!(pair.write(0, &data), Ok(MUCH));
    pair.release(0);
    assert!(pair.net.stacks[0].connection(pair.ids[0]).is_none());
    assert_eq!(pair.read_to_end(1), Ok(data));
    // And the peer, who sends no more either, is rid of it by an orderly end.
    pair.release(1);
    pair.net.wait(SECOND * 100);
    assert_eq!(pair.net.stacks[0].connections(), 0);
    assert_eq!(pair.net.stacks[1].connections(), 0);
}

/// RFC 1122 4.2.2.13: the peer must learn that nobody will ever read it.
#[test]
fn release_with_something_unread_resets() {
    let mut pair = Pair::new();
    pair.write(0, b"a question").unwrap();
    pair.wait();
    pair.release(1);
    pair.wait();
    assert_eq!(pair.read(0), Err(ReadError::Ended(RESET)));
    assert_eq!(pair.write(0, b"x"), Err(WriteError::Ended(RESET)));
}

#[test]
fn what_comes_after_release_resets() {
    let mut pair = Pair::new();
    pair.release(1);
    pair.wait();
    assert_eq!(pair.read(0), Ok(vec![]), "the end of the stream");
    assert_eq!(pair.write(0, b"to nobody"), Ok(9), "nobody knows it yet");
    pair.wait();
    assert_eq!(pair.write(0, b"x"), Err(WriteError::Ended(RESET)));
}

/// W5: the end comes behind all that was written, and the other direction goes on.
#[test]
fn shutdown_ends_one_direction_behind_all_writes() {
    let mut pair = Pair::new();
    let data = vec![5; MUCH];
    assert_eq!(pair.write(0, &data), Ok(MUCH));
    pair.shutdown(0);
    pair.shutdown(0);
    assert_eq!(pair.write(0, b"x"), Err(WriteError::ShutDown));
    assert_eq!(pair.read_to_end(1), Ok(data));
    assert_eq!(pair.read(1), Ok(vec![]), "again and again");
    pair.write(1, b"an answer").unwrap();
    pair.wait();
    assert_eq!(pair.read(0), Ok(b"an answer".to_vec()));
    assert_eq!(pair.read(0), Err(ReadError::WouldBlock));
}

/// W2: flushed is what the peer acknowledged, the end of the stream included.
#[test]
fn flushed_is_what_is_acknowledged() {
    let mut pair = Pair::new();
    assert!(pair.is_flushed(0));
    pair.write(0, b"octets").unwrap();
    assert!(!pair.is_flushed(0));
    pair.wait();
    assert!(pair.is_flushed(0));
    pair.shutdown(0);
    assert!(!pair.is_flushed(0));
    pair.wait();
    assert!(pair.is_flushed(0));
}

/// W3: no wait outlives the connection.
#[test]
fn abort_drops_what_is_queued_and_tells_both_sides() {
    let mut pair = Pair::new();
    pair.write(0, &vec![1; MUCH]).unwrap();
    pair.abort(0);
    let aborted = CloseReason::Aborted;
    assert_eq!(pair.write(0, b"x"), Err(WriteError::Ended(aborted)));
    assert_eq!(pair.read(0), Err(ReadError::Ended(aborted)));
    pair.wait();
    assert_eq!(pair.read(1), Err(ReadError::Ended(RESET)));
    assert_eq!(pair.net.stacks[1].connections(), 0);
    assert_eq!(pair.state(0), State::Closed, "held until it is released");
    pair.release(0);
    assert!(pair.net.stacks[0].connection(pair.ids[0]).is_none());
    assert_eq!(pair.net.stacks[0].connections(), 0);
}

#[test]
fn what_arrived_before_a_reset_can_be_read_first() {
    let mut pair = Pair::new();
    pair.write(0, b"last words").unwrap();
    pair.wait();
    pair.abort(0);
    pair.wait();
    assert_eq!(pair.read(1), Ok(b"last words".to_vec()));
    for _ in 0..2 {
        assert_eq!(pair.read(1), Err(ReadError::Ended(RESET)), "it stays");
    }
}

#[test]
fn both_ends_done_is_a_good_end() {
    let mut pair = Pair::new();
    pair.shutdown(0);
    pair.wait();
    pair.shutdown(1);
    pair.wait();
    assert_eq!(pair.state(0), State::TimeWait);
    assert_eq!(pair.state(1), State::Closed);
    for host in [0, 1] {
        assert_eq!(pair.read(host), Ok(vec![]));
    }
    pair.net.wait(SECOND * 100);
    let ended = |pair: &Pair, host: usize| {
        let connection = pair.net.stacks[host].connection(pair.ids[host]);
        connection.unwrap().ended()
    };
    assert_eq!(ended(&pair, 0), Some(CloseReason::Finished));
    assert_eq!(ended(&pair, 1), Some(CloseReason::Finished));
}

/// Before there is a connection there is nothing to reset.
#[test]
fn release_while_dialing_says_nothing_more() {
    let mut net = Net::pair();
    let now = net.now;
    let id = net.stacks[0]
        .connect(now, None, end(9, 7))
        .expect("nobody is there");
    assert_eq!(net.stacks[0].write(id, b"early"), Ok(5), "kept for later");
    net.fetch(0);
    net.stacks[0].release(now, id);
    assert!(net.fetch(0).is_empty());
    assert_eq!(net.stacks[0].connections(), 0);
}

#[test]
fn unlisten_resets_who_was_not_accepted() {
    let mut net = Net::pair();
    let listener = net.stacks[1].listen(None, Some(7), 10, false).unwrap();
    let now = net.now;
    let id = net.stacks[0].connect(now, None, end(1, 7)).unwrap();
    net.wait(SECOND);
    let now = net.now;
    net.stacks[1].unlisten(now, listener);
    net.wait(SECOND);
    let mut room = [0; 10];
    let outcome = net.stacks[0].read(id, &mut room);
    assert_eq!(outcome, Err(ReadError::Ended(RESET)));
    assert_eq!(net.stacks[1].accept(), None);
}

/// R9: what came due while nobody fetched packets is done when somebody does, and the next deadline lies ahead again.
#[test]
fn who_fetches_late_gets_what_is_due_by_then() {
    let patient = StackConfig {
        connection: Config {
            quick_acks: 0,
            ..Config::default()
        },
        ..settings()
    };
    let mut net = Net::new(vec![settings(), patient]);
    net.stacks[1].listen(None, Some(7), 10, false).unwrap();
    let now = net.now;
    let id = net.stacks[0].connect(now, None, end(1, 7)).unwrap();
    net.wait(SECOND);
    assert_eq!(net.stacks[0].write(id, b"x"), Ok(1));
    for packet in net.fetch(0) {
        net.inject(1, &packet);
    }
    // The acknowledgment may wait for 40 ms, and nobody asks before.
    net.now += SECOND / 2;
    assert_eq!(net.fetch(1).len(), 1);
    let deadline = net.stacks[1].next_deadline();
    assert!(deadline.is_none_or(|at| at > net.now), "{deadline:?}");
}
