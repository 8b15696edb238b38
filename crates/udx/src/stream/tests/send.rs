use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;
use gapless_seq::Wire32;

use super::{STARTS, bytes, ms};
use crate::stream::MAX_POSITION;
use crate::stream::send::{Acked, Discipline, FinishError, Piece, SendHalf, SendState, WriteError};

const ROOM: u64 = 1 << 20;

fn write(half: &mut SendHalf, len: u64) -> Result<usize, WriteError> {
    let end = half.buffer().end();
    half.write(&mut Bytes::from(bytes(end..end + len)), ROOM)
}

fn send(half: &mut SendHalf, max: usize) -> Option<Piece> {
    let piece = half.next(max)?;
    assert_eq!(half.next(max), Some(piece), "asking changes nothing");
    half.on_sent(&piece);
    Some(piece)
}

fn piece(offset: u64, len: u16, flags: &str) -> Option<Piece> {
    Some(Piece {
        offset,
        len,
        syn: flags.contains('S'),
        fin: flags.contains('F'),
    })
}

#[test]
fn whole_content_in_one_frame() {
    let mut half = SendHalf::new(true);
    write(&mut half, 100).unwrap();
    half.finish().unwrap();
    assert_eq!(half.state(), SendState::Ready);
    let only = send(&mut half, 1200);
    assert_eq!(only, piece(0, 100, "SF"));
    assert_eq!(half.state(), SendState::FinSent);
    assert!(!half.has_next());
    let acked = half.on_acked(&only.unwrap());
    assert_eq!((acked.freed, acked.completed), (100, true));
    assert_eq!(half.state(), SendState::Acknowledged);
    assert_eq!(half.on_acked(&only.unwrap()), Acked::default(), "twice");
}

#[test]
fn an_empty_stream_is_one_frame() {
    let mut half = SendHalf::new(true);
    half.finish().unwrap();
    assert_eq!(send(&mut half, 0), piece(0, 0, "SF"));
    let mut accepted = SendHalf::new(false);
    assert_eq!(accepted.next(1200), None);
    accepted.finish().unwrap();
    assert_eq!(send(&mut accepted, 0), piece(0, 0, "F"));
}

/// V12, D22: the FIN waits for the acknowledgement of the frame that opens the stream, unless it is in it.
#[test]
fn no_fin_before_the_stream_is_known() {
    let mut half = SendHalf::new(true);
    let opening = send(&mut half, 1200);
    assert_eq!(opening, piece(0, 0, "S"));
    write(&mut half, 150).unwrap();
    half.finish().unwrap();
    let data = send(&mut half, 100);
    assert_eq!(data, piece(0, 100, ""));
    assert_eq!(
        send(&mut half, 100),
        piece(100, 50, ""),
        "the last data, yet no FIN"
    );
    assert!(!half.has_next());
    half.on_acked(&data.unwrap());
    assert!(
        !half.has_next(),
        "the data's packet says nothing of the opening one"
    );
    assert!(half.on_acked(&opening.unwrap()).opened);
    assert!(!half.on_acked(&opening.unwrap()).opened, "twice");
    assert_eq!(send(&mut half, 100), piece(150, 0, "F"));
    assert_eq!(send(&mut half, 100), None);
}

/// Once the stream is known, the FIN goes with the last data, if it is there in time, or alone.
#[test]
fn the_fin_of_a_known_stream() {
    let mut with_data = SendHalf::new(false);
    write(&mut with_data, 150).unwrap();
    with_data.finish().unwrap();
    assert_eq!(send(&mut with_data, 100), piece(0, 100, ""));
    assert_eq!(send(&mut with_data, 100), piece(100, 50, "F"));
    let mut alone = SendHalf::new(false);
    write(&mut alone, 100).unwrap();
    assert_eq!(send(&mut alone, 100), piece(0, 100, ""));
    alone.finish().unwrap();
    assert_eq!(send(&mut alone, 100), piece(100, 0, "F"));
    // Needs no credit, as its bytes have gone.
    let mut at_limit = SendHalf::new(false);
    write(&mut at_limit, 65_536).unwrap();
    while send(&mut at_limit, 1300).is_some() {}
    at_limit.finish().unwrap();
    assert_eq!(send(&mut at_limit, 1300), piece(65_536, 0, "F"));
}

/// V1: what is sent again has the boundaries of the first time, whatever happened since.
#[test]
fn pieces_keep_their_bytes() {
    for start in STARTS {
        let mut half = SendHalf::at(start);
        let mut sent = Vec::new();
        for len in [10, 3000, 5, 700, 1372, 1, 40_000] {
            write(&mut half, len).unwrap();
            sent.extend(send(&mut half, 1372));
        }
        while let Some(piece) = send(&mut half, 1372) {
            sent.push(piece);
        }
        assert_eq!(sent.last().unwrap().end(), half.buffer().end());
        // Acknowledge every other one; the rest stays readable to the end.
        for pair in sent.chunks(2) {
            if let [_, second] = pair {
                half.on_acked(second);
            }
        }
        for lost in sent.iter().step_by(2) {
            let mut target = vec![0; usize::from(lost.len)];
            assert!(half.copy_to(lost.offset, &mut target));
            assert_eq!(target, bytes(lost.range()));
        }
        for lost in sent.iter().step_by(2) {
            half.on_acked(lost);
        }
        assert!(half.buffer().is_empty());
    }
}

/// UDX 10.1: exactly to the limit, in a short piece if need be; limits are modulo 2^32 and only grow.
#[test]
fn obeys_the_limit() {
    for start in STARTS {
        let mut half = SendHalf::at(start);
        write(&mut half, 200_000).unwrap();
        let mut last = None;
        while let Some(piece) = send(&mut half, 1372) {
            last = Some(piece);
        }
        assert_eq!(
            last,
            piece(start + 47 * 1372, (65_536 - 47 * 1372) as u16, "")
        );
        assert!(half.is_blocked_by_limit());
        assert_eq!(half.unsent(), 200_000 - 65_536);
        for smaller in [start, start + 65_535, start + 65_536] {
            assert!(!half.on_limit(Wire32::truncate(smaller)));
        }
        assert!(half.is_blocked_by_limit());
        assert!(half.on_limit(Wire32::truncate(start + 65_537)));
        assert_eq!(send(&mut half, 1372), piece(start + 65_536, 1, ""));
        assert!(half.on_limit(Wire32::truncate(start + 65_537 + (1 << 30))));
        assert_eq!(half.limit(), start + 65_537 + (1 << 30));
        assert!(!half.is_blocked_by_limit());
    }
}

/// A limit that seems to lie far behind is no limit, however often the number has gone round.
#[test]
fn follows_limits_through_many_rounds() {
    let mut half = SendHalf::new(false);
    let mut limit = 65_536_u64;
    while limit < 12_000_000_000 {
        let next = limit + (1 << 30);
        assert!(half.on_limit(Wire32::truncate(next)));
        assert_eq!(half.limit(), next);
        assert!(
            !half.on_limit(Wire32::truncate(limit)),
            "an update that was overtaken"
        );
        assert_eq!(half.limit(), next);
        limit = next;
    }
}

/// D13: at once, after 250 ms, and then every 500 ms; anew after each raise.
#[test]
fn says_that_it_is_blocked() {
    let mut half = SendHalf::new(false);
    assert_eq!(half.take_blocked(ms(0)), None);
    write(&mut half, 100_000).unwrap();
    while send(&mut half, 1372).is_some() {}
    assert_eq!(half.next_deadline(), None, "the first one is due by itself");
    assert!(half.is_blocked_due(ms(0)));
    assert_eq!(half.take_blocked(ms(0)), Some(65_536));
    assert_eq!(half.take_blocked(ms(249)), None);
    assert_eq!(half.next_deadline(), Some(ms(250)));
    assert_eq!(half.take_blocked(ms(250)), Some(65_536));
    assert_eq!(half.next_deadline(), Some(ms(750)));
    assert_eq!(half.take_blocked(ms(749)), None);
    assert_eq!(half.take_blocked(ms(800)), Some(65_536));
    assert_eq!(half.next_deadline(), Some(ms(1300)));
    half.on_limit(Wire32::truncate(65_600));
    assert_eq!(
        (half.next_deadline(), half.take_blocked(ms(900))),
        (None, None)
    );
    while send(&mut half, 1372).is_some() {}
    assert_eq!(half.take_blocked(ms(901)), Some(65_600), "at once again");
    half.reset(1);
    assert_eq!(
        (half.next_deadline(), half.take_blocked(ms(9000))),
        (None, None)
    );
}

#[test]
fn writes_fill_the_buffer_and_wake_the_writer_once() {
    let mut half = SendHalf::new(false);
    half.on_limit(Wire32::truncate(1 << 20));
    let mut data = Bytes::from(bytes(0..10_000));
    assert_eq!(half.write(&mut data, 8000), Ok(8000));
    assert_eq!(data, bytes(8000..10_000));
    assert_eq!(half.write(&mut data, 8000), Err(WriteError::Blocked));
    assert_eq!(half.write(&mut Bytes::new(), 8000), Ok(0));
    let pieces: Vec<Piece> = core::iter::from_fn(|| send(&mut half, 500)).collect();
    assert_eq!(pieces.len(), 16);
    // Everything was sent, so the very first room counts; after it, nobody waits.
    assert!(half.on_acked(&pieces[0]).writable);
    assert!(!half.on_acked(&pieces[1]).writable);
    assert_eq!(half.write(&mut data, 8000), Ok(1000));
    assert_eq!(half.write(&mut data, 8000), Err(WriteError::Blocked));
    // Now something is unsent: an eighth must be free.
    assert!(!half.on_acked(&pieces[2]).writable);
    assert!(!half.on_acked(&pieces[4]).writable, "behind a hole");
    assert!(half.on_acked(&pieces[3]).writable);
}

#[test]
fn nothing_is_written_after_the_end() {
    let mut finished = SendHalf::new(false);
    finished.finish().unwrap();
    assert_eq!(write(&mut finished, 1), Err(WriteError::Finished));
    assert_eq!(finished.finish(), Err(FinishError::Finished));
    let mut reset = SendHalf::new(false);
    assert!(reset.reset(5));
    assert!(!reset.reset(6));
    assert_eq!(reset.state(), SendState::Reset(5));
    assert_eq!(write(&mut reset, 1), Err(WriteError::Finished));
    assert_eq!(reset.finish(), Err(FinishError::Finished));
    let mut refused = SendHalf::new(false);
    assert!(refused.on_refused(9));
    assert_eq!(refused.state(), SendState::Stopped(9));
    assert_eq!(write(&mut refused, 1), Err(WriteError::Reset(9)));
    assert_eq!(refused.finish(), Err(FinishError::Reset(9)));
}

#[test]
fn giving_up_lets_everything_go() {
    let mut half = SendHalf::new(true);
    write(&mut half, 50_000).unwrap();
    let sent = send(&mut half, 1000).unwrap();
    half.finish().unwrap();
    assert!(half.on_refused(3));
    assert_eq!((half.buffer().memory(), half.unsent()), (0, 0));
    assert_eq!(half.next(1000), None);
    assert_eq!(half.on_acked(&sent), Acked::default());
    assert!(half.is_finished() && !half.is_acknowledged());
    // What is done cannot be given up.
    let mut done = SendHalf::new(true);
    done.finish().unwrap();
    let only = send(&mut done, 0).unwrap();
    done.on_acked(&only);
    assert!(!done.reset(1) && !done.on_refused(1));
    assert_eq!(done.state(), SendState::Acknowledged);
}

#[test]
fn no_stream_is_longer_than_the_wire_can_say() {
    let mut half = SendHalf::at(MAX_POSITION - 10);
    let mut data = Bytes::from(vec![0; 20]);
    assert_eq!(half.write(&mut data, ROOM), Ok(10));
    assert_eq!(half.write(&mut data, ROOM), Err(WriteError::TooLong));
}

#[test]
fn a_piece_splits_into_what_it_was() {
    let mut half = SendHalf::new(false);
    write(&mut half, 1000).unwrap();
    half.finish().unwrap();
    let whole = send(&mut half, 1200).unwrap();
    assert_eq!(half.split(&whole, 0), None);
    assert_eq!(half.split(&whole, 1000), None);
    assert_eq!(half.split(&whole, 1001), None);
    let (head, tail) = half.split(&whole, 400).unwrap();
    assert_eq!(
        (Some(head), Some(tail)),
        (piece(0, 400, ""), piece(400, 600, "F"))
    );
    assert!(!half.on_acked(&tail).completed);
    assert!(half.on_acked(&head).completed);
}

/// V12 holds for the halves of a piece as well: the FIN that went with SYN comes later, alone.
#[test]
fn a_split_opening_keeps_the_fin_back() {
    let mut half = SendHalf::new(true);
    write(&mut half, 1000).unwrap();
    half.finish().unwrap();
    let whole = send(&mut half, 1200).unwrap();
    let (head, tail) = half.split(&whole, 400).unwrap();
    assert_eq!(
        (Some(head), Some(tail)),
        (piece(0, 400, "S"), piece(400, 600, ""))
    );
    assert!(!half.has_next());
    half.on_acked(&tail);
    assert!(!half.has_next());
    half.on_acked(&head);
    assert!(!half.is_acknowledged());
    let fin = send(&mut half, 1200);
    assert_eq!(fin, piece(1000, 0, "F"));
    assert!(half.on_acked(&fin.unwrap()).completed);
}

/// A record must not outlive its stream, and a stream without bytes is known to nobody before its SYN came.
#[test]
fn a_fin_that_overtook_the_opening_does_not_complete_the_stream() {
    let mut half = SendHalf::new(true);
    let syn = send(&mut half, 1000).unwrap();
    assert!(syn.syn && !syn.fin);
    half.assume_open();
    write(&mut half, 10).unwrap();
    half.finish().unwrap();
    let rest = send(&mut half, 1000).unwrap();
    assert!(rest.fin && rest.len == 10, "it does not wait");
    assert!(!half.on_acked(&rest).completed);
    assert!(!half.is_finished());
    assert!(
        half.copy_to(syn.offset, &mut []),
        "the SYN can be sent again"
    );
    assert!(half.on_acked(&syn).completed);
    assert!(half.is_finished());
}

fn ordered(discipline: Discipline) -> SendHalf {
    SendHalf::starting_at(0, true, discipline)
}

// UDX2 H9, H10
#[test]
fn a_cautious_half_sends_one_packet_until_data_are_acknowledged() {
    for discipline in [Discipline::Careful, Discipline::Cautious] {
        let mut half = ordered(discipline);
        write(&mut half, 3000).unwrap();
        let syn = send(&mut half, 0);
        assert_eq!(syn, piece(0, 0, "S"), "no room for data, as in the opening");
        assert_eq!(half.next(1000), None, "nothing behind the SYN (H10)");
        half.on_acked(&syn.unwrap());
        let first = send(&mut half, 1000);
        assert_eq!(first, piece(0, 1000, ""));
        assert_eq!(half.next(1000), None, "nothing behind the first data (H9)");
        half.on_acked(&first.unwrap());
        assert_eq!(send(&mut half, 1000), piece(1000, 1000, ""));
        assert_eq!(send(&mut half, 1000), piece(2000, 1000, ""));
    }
}

// UDX2 H8, D16
#[test]
fn the_fin_of_a_cautious_half_goes_alone_and_last() {
    let mut half = ordered(Discipline::Cautious);
    write(&mut half, 100).unwrap();
    half.finish().unwrap();
    let all = send(&mut half, 1000);
    assert_eq!(all, piece(0, 100, "S"));
    assert_eq!(half.next(1000), None);
    half.on_acked(&all.unwrap());
    let end = send(&mut half, 1000);
    assert_eq!(end, piece(100, 0, "F"));
    assert!(half.on_acked(&end.unwrap()).completed);
    let mut own = ordered(Discipline::Ordered);
    write(&mut own, 100).unwrap();
    own.finish().unwrap();
    assert_eq!(
        send(&mut own, 1000),
        piece(0, 100, "SF"),
        "our own kind keeps the order"
    );
}

// UDX2 9.3, H13
#[test]
fn what_is_acknowledged_is_credit_of_a_cautious_half_only() {
    for (discipline, more) in [(Discipline::Cautious, 10_000), (Discipline::Careful, 0)] {
        let mut half = ordered(discipline);
        write(&mut half, 200_000).unwrap();
        let mut sent = Vec::new();
        while let Some(piece) = send(&mut half, 10_000) {
            if sent.is_empty() {
                half.on_acked(&piece);
            }
            sent.push(piece);
        }
        let end = |sent: &[Piece]| sent.last().unwrap().end();
        assert_eq!(end(&sent), 65_536 + more, "{discipline:?}");
        assert!(half.is_blocked_by_limit());
        // Not only what is acknowledged in order.
        half.on_acked(&sent[3]);
        let next = send(&mut half, 10_000).map(|piece| u64::from(piece.len));
        assert_eq!(next.unwrap_or(0), more, "{discipline:?}");
        assert!(half.on_limit(Wire32::new(150_000)));
        assert!(send(&mut half, 10_000).is_some());
    }
}

// UDX2 9.3: found by a peer that acknowledged beyond its limit and then said that it is one of our own kind.
#[test]
fn a_half_that_loses_its_credit_still_ends_and_once() {
    let mut half = ordered(Discipline::Cautious);
    write(&mut half, 80_000).unwrap();
    while let Some(piece) = send(&mut half, 10_000) {
        half.on_acked(&piece);
    }
    half.set_discipline(Discipline::Ordered);
    half.finish().unwrap();
    let end = send(&mut half, 1000);
    assert_eq!(end, piece(80_000, 0, "F"), "beyond the limit of 65,536");
    assert_eq!(half.next(1000), None);
    assert!(half.on_acked(&end.unwrap()).completed);
}

// UDX2 H7
#[test]
fn a_half_that_was_given_up_keeps_what_it_sent_until_it_is_acknowledged() {
    let mut half = ordered(Discipline::Ordered);
    write(&mut half, 3000).unwrap();
    let first = send(&mut half, 1000).unwrap();
    let second = send(&mut half, 1000).unwrap();
    assert!(half.reset(7));
    assert_eq!((half.next(1000), half.buffer().end()), (None, 2000));
    assert!(!half.is_finished());
    let mut target = vec![0; 1000];
    assert!(half.copy_to(second.offset, &mut target));
    assert_eq!(target, bytes(1000..2000));
    let acked = half.on_acked(&second);
    assert_eq!(
        (acked.settled, acked.completed, acked.writable),
        (false, false, false)
    );
    assert!(half.on_acked(&first).settled && half.is_finished());
    let mut free = ordered(Discipline::Free);
    write(&mut free, 3000).unwrap();
    send(&mut free, 1000);
    assert!(free.reset(7) && free.is_finished());
}

/// The connection's number 0 is a SYN, whatever becomes of the stream.
#[test]
fn a_syn_that_opens_the_connection_outlives_its_stream() {
    let mut dialed = ordered(Discipline::Cautious);
    dialed.open_connection();
    write(&mut dialed, 100).unwrap();
    dialed.reset(7);
    assert!(!dialed.is_finished());
    let syn = send(&mut dialed, 1000);
    assert_eq!(syn, piece(0, 0, "S"));
    assert!(dialed.on_acked(&syn.unwrap()).settled && dialed.is_finished());
    // UDX2 D4: an acceptor's.
    let mut accepted = SendHalf::starting_at(0, false, Discipline::Cautious);
    accepted.answer_syn();
    assert_eq!(send(&mut accepted, 0), piece(0, 0, "S"));
}

/// Found by the search of small worlds: the FIN was acknowledged before a byte, and then the stream was given up.
#[test]
fn a_stream_that_was_given_up_is_not_acknowledged_though_its_end_is() {
    for discipline in [Discipline::Free, Discipline::Ordered] {
        let mut half = SendHalf::starting_at(0, false, discipline);
        write(&mut half, 2).unwrap();
        half.finish().unwrap();
        send(&mut half, 1).unwrap();
        let end = send(&mut half, 1).unwrap();
        assert!(end.fin);
        half.on_acked(&end);
        assert!(half.reset(7));
        assert!(!half.is_acknowledged(), "{discipline:?}: a byte never was");
        assert_eq!(half.state(), SendState::Reset(7));
    }
}
