// Package peer is what a foreign program does in a conversation with Gapless, whatever transport carries it.
//
// It mirrors the harness: the plan, the contents of the streams and the parts of both sides are the same there.
package peer

import "time"

// A Plan is one side's orders, as the harness writes them.
type Plan struct {
	Scenario string `json:"scenario"`
	// Flow says who has the active part: "opener" or "acceptor".
	Flow string `json:"flow"`
	// Dial is where to dial; without it this side accepts.
	Dial *string `json:"dial"`
	// Streams that the dialer opens.
	Streams int `json:"streams"`
	// Bytes that the active side sends on each.
	Bytes uint64 `json:"bytes"`
	Seed  uint64 `json:"seed"`
	// IdleMs is how long an idle connection is left alone, in milliseconds.
	IdleMs uint64 `json:"idle_ms"`
}

func (p *Plan) opens() bool { return p.Dial != nil }

func (p *Plan) openerSends() bool { return p.Flow == "opener" }

// Whether this side has the active part.
func (p *Plan) isActive() bool { return p.openerSends() == p.opens() }

func (p *Plan) isSlow() bool { return p.Scenario == "slow-reader" }

func (p *Plan) idle() time.Duration { return time.Duration(p.IdleMs) * time.Millisecond }

const (
	// The code that streams are reset with.
	resetCode uint32 = 77
	// What is told when the library does not tell a reset's code.
	unknownCode uint32 = 1<<32 - 1
	// A reset may be lost; so often it is tried.
	resetAttempts = 5
	// First byte of a stream that asks what became of the one before.
	question byte = 200
)
