package peer

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// Bytes that are made, and written, at once.
const chunkBytes = 64 << 10

// A pattern is what travels on one stream: its index, then words of splitmix64, little-endian.
type pattern struct {
	state uint64
	first bool
	index byte
	left  uint64
	rest  []byte
}

func newPattern(seed uint64, index byte, bytes uint64) *pattern {
	return &pattern{state: seed ^ uint64(index)<<56, first: true, index: index, left: bytes}
}

// The next piece, empty at the end.
func (p *pattern) next() []byte {
	size := int(min(p.left, chunkBytes))
	chunk := make([]byte, 0, size+9)
	chunk = append(chunk, p.rest...)
	if size > 0 && p.first {
		chunk = append(chunk, p.index)
		p.first = false
	}
	for len(chunk) < size {
		chunk = binary.LittleEndian.AppendUint64(chunk, p.word())
	}
	p.rest = append([]byte(nil), chunk[size:]...)
	p.left -= uint64(size)
	return chunk[:size]
}

func (p *pattern) word() uint64 {
	p.state += 0x9e3779b97f4a7c15
	w := p.state
	w = (w ^ w>>30) * 0xbf58476d1ce4e5b9
	w = (w ^ w>>27) * 0x94d049bb133111eb
	return w ^ w>>31
}

func expected(seed uint64, index byte, bytes uint64) [32]byte {
	p, s := newPattern(seed, index, bytes), newSeen()
	for {
		chunk := p.next()
		if len(chunk) == 0 {
			return s.hash()
		}
		s.take(chunk)
	}
}

// Seen is what was received so far.
type seen struct {
	digest hash.Hash
	bytes  uint64
}

func newSeen() *seen { return &seen{digest: sha256.New()} }

func (s *seen) take(chunk []byte) {
	s.digest.Write(chunk)
	s.bytes += uint64(len(chunk))
}

func (s *seen) hash() [32]byte { return [32]byte(s.digest.Sum(nil)) }
