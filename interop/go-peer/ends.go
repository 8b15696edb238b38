package peer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// One direction of a stream ends; then, and only then, the other carries data.
func halfClose(ctx context.Context, c Connection, p *Plan) error {
	var s Stream
	var err error
	if p.opens() {
		s, err = c.Open(ctx)
	} else {
		s, err = c.Accept(ctx)
	}
	if err != nil {
		return err
	}
	hello := []byte("?")
	switch {
	case p.opens() && !p.isActive():
		if _, err := s.Write(hello); err != nil {
			return err
		}
	case !p.opens() && p.isActive():
		if _, err := io.ReadFull(s, hello); err != nil {
			return fmt.Errorf("the byte that opens: %w", err)
		}
	}
	first := func() error { _, err := send(s, p, 0); return err }
	second := func() error { return expect(s, p, 1) }
	if !p.isActive() {
		first = func() error { return expect(s, p, 0) }
		second = func() error { _, err := send(s, p, 1); return err }
	}
	if err := first(); err != nil {
		return err
	}
	return second()
}

func expect(s Stream, p *Plan, index byte) error {
	got, _, err := takeAll(s, p)
	if err == nil && got != index {
		err = fmt.Errorf("pattern %d instead of %d", got, index)
	}
	return err
}

const (
	// Bytes that the resetting side reads before it resets.
	readFirst = 32 << 10
	// How long the other writes before it gives up waiting for the reset.
	patience = 4 * time.Second
	sawBytes = 5
)

// Saw is what a side saw of a reset.
type saw struct {
	reset bool
	code  uint32
}

func (w saw) append(bytes []byte) []byte {
	if !w.reset {
		return append(bytes, 0, 0, 0, 0, 0)
	}
	return binary.BigEndian.AppendUint32(append(bytes, 1), w.code)
}

func readSaw(bytes []byte) saw {
	return saw{bytes[0] != 0, binary.BigEndian.Uint32(bytes[1:])}
}

// A stream is reset while the other side writes on it; the connection, and a stream after it, go on.
func reset(ctx context.Context, c Connection, p *Plan) (string, error) {
	for attempt := range byte(resetAttempts) {
		var told, mine saw
		var err error
		if p.opens() {
			mine, told, err = resetOpener(ctx, c, p, attempt)
		} else {
			mine, told, err = resetAcceptor(ctx, c, p, attempt)
		}
		if err != nil {
			return "", err
		}
		seen := mine
		if p.isActive() {
			seen = told
		}
		if !seen.reset {
			continue
		}
		if seen.code != resetCode && seen.code != unknownCode {
			return "", fmt.Errorf("code %d arrived instead of %d", seen.code, resetCode)
		}
		if attempt > 0 {
			return fmt.Sprintf("seen at attempt %d", attempt+1), nil
		}
		return "", nil
	}
	return "", fmt.Errorf("%d streams were reset, and the other side saw none of it", resetAttempts)
}

func resetOpener(ctx context.Context, c Connection, p *Plan, attempt byte) (mine, told saw, err error) {
	s, err := c.Open(ctx)
	if err != nil {
		return mine, told, err
	}
	if _, err = s.Write([]byte{attempt}); err != nil {
		return mine, told, fmt.Errorf("the first byte: %w", err)
	}
	if mine, err = resetPart(s, p, attempt); err != nil {
		return mine, told, err
	}
	if s, err = c.Open(ctx); err != nil {
		return mine, told, err
	}
	if _, err = s.Write(mine.append([]byte{question + attempt})); err != nil {
		return mine, told, fmt.Errorf("asking: %w", err)
	}
	if err = s.Finish(); err != nil {
		return mine, told, err
	}
	answer, err := readToEnd(s, sawBytes)
	if err != nil {
		return mine, told, fmt.Errorf("the answer: %w", err)
	}
	return mine, readSaw(answer), nil
}

func resetAcceptor(ctx context.Context, c Connection, p *Plan, attempt byte) (mine, told saw, err error) {
	s, err := c.Accept(ctx)
	if err != nil {
		return mine, told, err
	}
	var index [1]byte
	if _, err = io.ReadFull(s, index[:]); err != nil {
		return mine, told, fmt.Errorf("the first byte: %w", err)
	}
	if index[0] != attempt {
		return mine, told, fmt.Errorf("the stream of attempt %d instead of %d", index[0], attempt)
	}
	if mine, err = resetPart(s, p, attempt); err != nil {
		return mine, told, err
	}
	if s, err = c.Accept(ctx); err != nil {
		return mine, told, err
	}
	asked, err := readToEnd(s, 1+sawBytes)
	if err != nil {
		return mine, told, fmt.Errorf("the question: %w", err)
	}
	if asked[0] != question+attempt {
		return mine, told, fmt.Errorf("not the question of attempt %d", attempt)
	}
	if _, err = s.Write(mine.append(nil)); err != nil {
		return mine, told, fmt.Errorf("answering: %w", err)
	}
	return mine, readSaw(asked[1:]), s.Finish()
}

// The active side reads some and resets; the other writes until it learns of it.
func resetPart(s Stream, p *Plan, attempt byte) (saw, error) {
	if p.isActive() {
		if _, err := io.CopyN(io.Discard, s, readFirst); err != nil {
			return saw{}, fmt.Errorf("reading before the reset: %w", err)
		}
		s.Reset(resetCode)
		return saw{}, nil
	}
	ended := make(chan error, 1)
	go func() { ended <- writeOn(s, newPattern(p.Seed, attempt, p.Bytes)) }()
	select {
	case err := <-ended:
		if saw, ok := resetOf(err); ok {
			return saw, nil
		}
		return saw{}, fmt.Errorf("writing until the reset: %w", err)
	case <-time.After(patience):
		// The one RESET_STREAM is lost: this side gives the stream up, too, which ends the writing.
		s.Reset(resetCode)
		return saw{}, nil
	}
}

func writeOn(s Stream, pat *pattern) error {
	for {
		chunk := pat.next()
		if len(chunk) == 0 {
			return errors.New("all was written, and no reset came")
		}
		if _, err := s.Write(chunk); err != nil {
			return err
		}
	}
}
