//! The options of a segment (RFC 9293 3.2, 7323, 2018, 5482).

use super::reader::Reader;
use super::writer::Writer;
use core::num::NonZeroU16;
use gapless_seq::Wire32;

/// Octets that options may take: the data offset of 15 words less the fixed header (RFC 9293 3.1).
pub const MAX_OPTIONS: usize = 40;

/// Most selective acknowledgements in a segment: 40 octets less two, at 8 octets each (RFC 2018 section 3).
pub const MAX_SACK_BLOCKS: usize = 4;

/// The greatest shift of a window (RFC 7323 2.3).
pub const MAX_WINDOW_SHIFT: u8 = 14;

/// What the options of a segment say. Those that are unknown are skipped (RFC 9293 3.2, MUST-6).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// The largest segment that the sender takes, RFC 9293 3.7.1. Zero on the wire counts as absent: nothing could be sent with it.
    pub mss: Option<NonZeroU16>,
    /// How far the sender's windows are to be shifted, RFC 7323 section 2: 0 to 14. More on the wire counts as 14 (RFC 7323 2.3).
    pub window_scale: Option<u8>,
    /// The sender can use selective acknowledgements, RFC 2018 section 2.
    pub sack_permitted: bool,
    /// What arrived behind a hole, RFC 2018 section 3, and what arrived twice, RFC 2883.
    pub sack: SackBlocks,
    /// RFC 7323 section 3.
    pub timestamps: Option<Timestamps>,
    /// How long the sender waits for acknowledgements, RFC 5482.
    pub user_timeout: Option<UserTimeout>,
}

/// RFC 7323 section 3.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Timestamps {
    /// The sender's clock.
    pub value: Wire32,
    /// The receiver's clock, as the sender last heard of it. Counts only together with ACK.
    pub echo: Wire32,
}

/// RFC 5482 section 3.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct UserTimeout {
    /// In minutes, not seconds.
    pub in_minutes: bool,
    /// 15 bits of the unit.
    pub value: u16,
}

/// A range of octets, from the first to the one behind the last, as two numbers on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SackBlock {
    /// The first octet.
    pub left: Wire32,
    /// The octet behind the last.
    pub right: Wire32,
}

/// At most [`MAX_SACK_BLOCKS`] blocks, in the order of the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SackBlocks {
    blocks: [Option<SackBlock>; MAX_SACK_BLOCKS],
}

impl SackBlocks {
    /// No blocks.
    pub const NONE: Self = Self {
        blocks: [None; MAX_SACK_BLOCKS],
    };

    /// Adds a block behind the others. Returns whether there was room.
    pub fn push(&mut self, block: SackBlock) -> bool {
        let free = self.blocks.iter_mut().find(|place| place.is_none());
        free.map(|place| *place = Some(block)).is_some()
    }

    /// The blocks.
    pub fn iter(&self) -> impl Iterator<Item = SackBlock> + '_ {
        self.blocks.iter().flatten().copied()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.first().is_none_or(Option::is_none)
    }
}

impl FromIterator<SackBlock> for SackBlocks {
    /// As many as there is room for.
    fn from_iter<I: IntoIterator<Item = SackBlock>>(blocks: I) -> Self {
        let mut collected = Self::NONE;
        for block in blocks {
            if !collected.push(block) {
                break;
            }
        }
        collected
    }
}

mod kind {
    pub(super) const END: u8 = 0;
    pub(super) const NOP: u8 = 1;
    pub(super) const MSS: u8 = 2;
    pub(super) const WINDOW_SCALE: u8 = 3;
    pub(super) const SACK_PERMITTED: u8 = 4;
    pub(super) const SACK: u8 = 5;
    pub(super) const TIMESTAMPS: u8 = 8;
    pub(super) const USER_TIMEOUT: u8 = 28;
}

/// Octets of a timestamps option with its padding, as it stands alone (RFC 7323 appendix A).
const TIMESTAMPS_LENGTH: usize = 12;
/// Octets of a list of blocks with its padding, before the first block.
const SACK_LENGTH: usize = 4;
/// Octets of a block.
const SACK_BLOCK_LENGTH: usize = 8;

impl Options {
    /// No options.
    pub const NONE: Self = Self {
        mss: None,
        window_scale: None,
        sack_permitted: false,
        sack: SackBlocks::NONE,
        timestamps: None,
        user_timeout: None,
    };

    /// What these octets say. An option of an impossible length ends the list: what stood before counts (RFC 9293 3.2, MUST-7 asks only that
    /// nobody is harmed by it). Of an option that stands twice the last counts.
    #[must_use]
    pub fn parse(octets: &[u8]) -> Self {
        let mut options = Self::NONE;
        if let [kind::NOP, kind::NOP, kind::TIMESTAMPS, 10, content @ ..] = octets
            && content.len() == 8
        {
            // RFC 7323 appendix A: all that nearly every segment has.
            options.take(kind::TIMESTAMPS, content);
            return options;
        }
        let mut reader = Reader::new(octets);
        while let Some(kind) = reader.u8() {
            match kind {
                kind::END => break,
                kind::NOP => continue,
                _ => {}
            }
            // The length counts kind and length too, so that less than 2 would never end.
            let length = reader.u8().and_then(|length| length.checked_sub(2));
            let Some(content) = length.and_then(|length| reader.slice(usize::from(length))) else {
                break;
            };
            options.take(kind, content);
        }
        options
    }

    /// One option. A known one whose length is not its own is skipped as if it were unknown.
    fn take(&mut self, kind: u8, content: &[u8]) {
        match (kind, content) {
            (kind::MSS, &[high, low]) => {
                self.mss = NonZeroU16::new(u16::from_be_bytes([high, low]));
            }
            (kind::WINDOW_SCALE, &[shift]) => {
                self.window_scale = Some(shift.min(MAX_WINDOW_SHIFT));
            }
            (kind::SACK_PERMITTED, []) => self.sack_permitted = true,
            (kind::SACK, blocks) => self.take_sack(blocks),
            (kind::TIMESTAMPS, &[v0, v1, v2, v3, e0, e1, e2, e3]) => {
                self.timestamps = Some(Timestamps {
                    value: u32::from_be_bytes([v0, v1, v2, v3]).into(),
                    echo: u32::from_be_bytes([e0, e1, e2, e3]).into(),
                });
            }
            (kind::USER_TIMEOUT, &[high, low]) => {
                let field = u16::from_be_bytes([high, low]);
                self.user_timeout = Some(UserTimeout {
                    in_minutes: field & 0x8000 != 0,
                    value: field & 0x7fff,
                });
            }
            _ => {}
        }
    }

    fn take_sack(&mut self, content: &[u8]) {
        let (blocks, rest) = content.as_chunks::<SACK_BLOCK_LENGTH>();
        if !rest.is_empty() {
            return;
        }
        self.sack = blocks
            .iter()
            .map(|&[l0, l1, l2, l3, r0, r1, r2, r3]| SackBlock {
                left: u32::from_be_bytes([l0, l1, l2, l3]).into(),
                right: u32::from_be_bytes([r0, r1, r2, r3]).into(),
            })
            .collect();
    }

    /// Octets on the wire: a multiple of four, at most [`MAX_OPTIONS`]. Blocks that find no room beside the rest do not count.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let fixed = self.fixed_len();
        match self.sack_fitting(fixed) {
            0 => fixed,
            blocks => fixed
                .saturating_add(SACK_LENGTH)
                .saturating_add(blocks.saturating_mul(SACK_BLOCK_LENGTH)),
        }
    }

    /// What all options but the blocks take. Together at most 24 octets, so they always fit.
    fn fixed_len(&self) -> usize {
        let of = |present: bool, length: usize| if present { length } else { 0 };
        // SACK-permitted stands where timestamps have their padding.
        let sack_alone = self.sack_permitted && self.timestamps.is_none();
        of(self.mss.is_some(), 4)
            .saturating_add(of(self.timestamps.is_some(), TIMESTAMPS_LENGTH))
            .saturating_add(of(sack_alone, 4))
            .saturating_add(of(self.window_scale.is_some(), 4))
            .saturating_add(of(self.user_timeout.is_some(), 4))
    }

    fn sack_fitting(&self, fixed: usize) -> usize {
        let room = MAX_OPTIONS
            .saturating_sub(fixed)
            .saturating_sub(SACK_LENGTH);
        self.sack
            .len()
            .min(room.checked_div(SACK_BLOCK_LENGTH).unwrap_or(0))
    }

    /// Writes [`encoded_len`](Self::encoded_len) octets, in the order that is usual: some peers and middleboxes only ever saw that one.
    /// Padding makes every option of 32 bits begin at a multiple of four.
    pub(super) fn write(&self, writer: &mut Writer<'_>) -> Option<()> {
        if let Some(mss) = self.mss {
            writer.array([kind::MSS, 4])?;
            writer.u16(mss.get())?;
        }
        match (self.sack_permitted, self.timestamps) {
            (true, Some(_)) => writer.array([kind::SACK_PERMITTED, 2])?,
            (true, None) => writer.array([kind::NOP, kind::NOP, kind::SACK_PERMITTED, 2])?,
            (false, Some(_)) => writer.array([kind::NOP, kind::NOP])?,
            (false, None) => {}
        }
        if let Some(timestamps) = self.timestamps {
            writer.array([kind::TIMESTAMPS, 10])?;
            writer.u32(timestamps.value.into())?;
            writer.u32(timestamps.echo.into())?;
        }
        if let Some(shift) = self.window_scale {
            writer.array([kind::NOP, kind::WINDOW_SCALE, 3, shift])?;
        }
        if let Some(timeout) = self.user_timeout {
            let unit = if timeout.in_minutes { 0x8000 } else { 0 };
            writer.array([kind::USER_TIMEOUT, 4])?;
            writer.u16(unit | (timeout.value & 0x7fff))?;
        }
        self.write_sack(writer)
    }

    fn write_sack(&self, writer: &mut Writer<'_>) -> Option<()> {
        let blocks = self.sack_fitting(self.fixed_len());
        if blocks == 0 {
            return Some(());
        }
        let length = blocks.saturating_mul(SACK_BLOCK_LENGTH).saturating_add(2);
        let length = u8::try_from(length).ok()?;
        writer.array([kind::NOP, kind::NOP, kind::SACK, length])?;
        for block in self.sack.iter().take(blocks) {
            writer.u32(block.left.into())?;
            writer.u32(block.right.into())?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    fn written(options: &Options) -> Vec<u8> {
        let mut buffer = vec![0; options.encoded_len()];
        let mut writer = Writer::new(&mut buffer);
        options.write(&mut writer).unwrap();
        assert_eq!(writer.written(), options.encoded_len());
        buffer
    }

    fn block(left: u32, right: u32) -> SackBlock {
        SackBlock {
            left: left.into(),
            right: right.into(),
        }
    }

    fn stamps(value: u32, echo: u32) -> Option<Timestamps> {
        Some(Timestamps {
            value: value.into(),
            echo: echo.into(),
        })
    }

    #[test]
    fn a_syn_has_them_in_the_usual_order() {
        let mut options = Options {
            mss: NonZeroU16::new(1460),
            window_scale: Some(8),
            sack_permitted: true,
            timestamps: stamps(1, 0),
            ..Options::NONE
        };
        let with_stamps = [
            2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 8,
        ];
        assert_eq!(written(&options), with_stamps);
        options.timestamps = None;
        let without = [2, 4, 5, 180, 1, 1, 4, 2, 1, 3, 3, 8];
        assert_eq!(written(&options), without);
        options.sack_permitted = false;
        assert_eq!(written(&options), [2, 4, 5, 180, 1, 3, 3, 8]);
        options.window_scale = None;
        assert_eq!(written(&options), [2, 4, 5, 180]);
    }

    #[test]
    fn three_blocks_find_room_beside_timestamps_and_four_without() {
        let blocks: SackBlocks = (0..4).map(|n| block(n * 10, n * 10 + 5)).collect();
        let mut options = Options {
            sack: blocks,
            timestamps: stamps(7, 8),
            ..Options::NONE
        };
        assert_eq!(options.encoded_len(), MAX_OPTIONS);
        assert_eq!(Options::parse(&written(&options)).sack.len(), 3);
        options.timestamps = None;
        assert_eq!(options.encoded_len(), 36);
        assert_eq!(Options::parse(&written(&options)), options);
    }

    #[test]
    fn what_is_written_is_read_back() {
        for choice in 0..64_u32 {
            let has = |bit: u32| choice & (1 << bit) != 0;
            let options = Options {
                mss: NonZeroU16::new(1220).filter(|_| has(0)),
                window_scale: has(1).then_some(14),
                sack_permitted: has(2),
                timestamps: stamps(u32::MAX, 1 << 31).filter(|_| has(3)),
                user_timeout: has(4).then_some(UserTimeout {
                    in_minutes: true,
                    value: 0x7fff,
                }),
                sack: has(5).then(|| block(u32::MAX - 1, 3)).into_iter().collect(),
            };
            let octets = written(&options);
            assert_eq!(octets.len() % 4, 0, "{options:?}");
            assert!(octets.len() <= MAX_OPTIONS, "{options:?}");
            assert_eq!(Options::parse(&octets), options);
        }
    }

    #[test]
    fn impossible_lengths_end_the_list() {
        for tail in [&[2, 0][..], &[2, 1], &[2], &[2, 41, 0], &[8, 10, 0]] {
            let octets = [&[1, 3, 3, 7][..], tail].concat();
            let options = Options::parse(&octets);
            assert_eq!(options.window_scale, Some(7), "{octets:?}");
            assert_eq!(options.mss, None, "{octets:?}");
            assert_eq!(options.timestamps, None, "{octets:?}");
        }
    }

    #[test]
    fn wrong_lengths_of_known_options_are_skipped() {
        let octets = [
            2, 3, 9, 3, 4, 0, 0, 4, 3, 0, 5, 9, 1, 2, 3, 4, 5, 6, 7, 3, 3, 2,
        ];
        let options = Options::parse(&octets);
        assert_eq!(
            options,
            Options {
                window_scale: Some(2),
                ..Options::NONE
            }
        );
    }

    #[test]
    fn values_are_brought_into_their_ranges() {
        assert_eq!(Options::parse(&[2, 4, 0, 0]).mss, None);
        for shift in [15, 255] {
            assert_eq!(Options::parse(&[3, 3, shift]).window_scale, Some(14));
        }
        // Unknown ones, and what stands behind the end.
        let options = Options::parse(&[254, 4, 1, 2, 0, 3, 3, 5]);
        assert_eq!(options, Options::NONE);
    }

    #[test]
    fn five_blocks_are_four() {
        let octets: Vec<u8> = [5, 42].into_iter().chain(0..40).collect();
        assert_eq!(Options::parse(&octets).sack.len(), MAX_SACK_BLOCKS);
    }
}
