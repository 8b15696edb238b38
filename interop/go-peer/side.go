package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sort"
	"time"
)

const (
	// What a reader takes at once.
	readBytes = 64 << 10
	// A slow reader takes nothing for so long, then so many bytes at a time with this pause.
	slowPause = 800 * time.Millisecond
	slowBytes = 16 << 10
	slowWait  = 2 * time.Millisecond
)

// Side does one side's part of a plan; the string is worth telling.
func Side(ctx context.Context, c Connection, p *Plan) (string, error) {
	switch {
	case p.Scenario == "half-close":
		return "", halfClose(ctx, c, p)
	case p.Scenario == "reset":
		return reset(ctx, c, p)
	case p.Scenario == "idle" && p.opens():
		return "", idle(ctx, c, p)
	case p.opens():
		return "", atOnce(p.Streams, func(i int) error { return openOne(ctx, c, p, byte(i)) })
	default:
		return "", acceptAll(ctx, c, p)
	}
}

// Runs all parts at once and gives the first error, as soon as there is one.
func atOnce(count int, part func(int) error) error {
	ended := make(chan error, count)
	for i := range count {
		go func() { ended <- part(i) }()
	}
	for range count {
		if err := <-ended; err != nil {
			return err
		}
	}
	return nil
}

func idle(ctx context.Context, c Connection, p *Plan) error {
	if err := openOne(ctx, c, p, 0); err != nil {
		return fmt.Errorf("before the silence: %w", err)
	}
	time.Sleep(p.idle())
	if err := openOne(ctx, c, p, 1); err != nil {
		return fmt.Errorf("after the silence: %w", err)
	}
	return c.Ping(ctx)
}

func openOne(ctx context.Context, c Connection, p *Plan, index byte) error {
	s, err := c.Open(ctx)
	if err != nil {
		return fmt.Errorf("opening stream %d: %w", index, err)
	}
	if p.openerSends() {
		sent, err := send(s, p, index)
		if err != nil {
			return fmt.Errorf("stream %d: %w", index, err)
		}
		answer, err := readToEnd(s, len(sent))
		if err != nil {
			return fmt.Errorf("stream %d: the hash: %w", index, err)
		}
		if [32]byte(answer) != sent {
			return fmt.Errorf("stream %d: the other side received other bytes", index)
		}
		return nil
	}
	if _, err := s.Write([]byte{index}); err != nil {
		return fmt.Errorf("stream %d: asking: %w", index, err)
	}
	first, _, err := takeAll(s, p)
	if err != nil {
		return fmt.Errorf("stream %d: %w", index, err)
	}
	if first != index {
		return fmt.Errorf("stream %d: the bytes of stream %d", index, first)
	}
	return s.Finish()
}

func acceptAll(ctx context.Context, c Connection, p *Plan) error {
	type ended struct {
		index byte
		err   error
	}
	results := make(chan ended, p.Streams+1)
	go func() {
		for i := range p.Streams {
			s, err := c.Accept(ctx)
			if err != nil {
				results <- ended{err: fmt.Errorf("accepting stream %d: %w", i, err)}
				return
			}
			go func() {
				index, err := answer(s, p)
				results <- ended{index, err}
			}()
		}
	}()
	var indices []int
	for range p.Streams {
		r := <-results
		if r.err != nil {
			return r.err
		}
		indices = append(indices, int(r.index))
	}
	sort.Ints(indices)
	for i, index := range indices {
		if i != index {
			return fmt.Errorf("the streams %v came instead of all %d", indices, p.Streams)
		}
	}
	return nil
}

func answer(s Stream, p *Plan) (byte, error) {
	if p.openerSends() {
		index, hash, err := takeAll(s, p)
		if err != nil {
			return index, err
		}
		if _, err := s.Write(hash[:]); err != nil {
			return index, fmt.Errorf("answering with the hash: %w", err)
		}
		return index, s.Finish()
	}
	var index [1]byte
	if _, err := io.ReadFull(s, index[:]); err != nil {
		return 0, fmt.Errorf("the question: %w", err)
	}
	_, err := send(s, p, index[0])
	return index[0], err
}

// Sends a stream's whole pattern and its end.
func send(s Stream, p *Plan, index byte) ([32]byte, error) {
	pat, all := newPattern(p.Seed, index, p.Bytes), newSeen()
	for {
		chunk := pat.next()
		if len(chunk) == 0 {
			break
		}
		if _, err := s.Write(chunk); err != nil {
			return [32]byte{}, fmt.Errorf("writing after %d bytes: %w", all.bytes, err)
		}
		all.take(chunk)
	}
	return all.hash(), s.Finish()
}

// Receives a stream's whole pattern and checks it.
func takeAll(s Stream, p *Plan) (byte, [32]byte, error) {
	buffer := make([]byte, readBytes)
	if p.isSlow() {
		time.Sleep(slowPause)
		buffer = buffer[:slowBytes]
	}
	all, first, some := newSeen(), byte(0), false
	for {
		n, err := s.Read(buffer)
		if n > 0 && !some {
			first, some = buffer[0], true
		}
		all.take(buffer[:n])
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return first, [32]byte{}, fmt.Errorf("reading after %d bytes: %w", all.bytes, err)
		}
		if all.bytes > p.Bytes {
			return first, [32]byte{}, fmt.Errorf("more than the %d bytes sent", p.Bytes)
		}
		if p.isSlow() {
			time.Sleep(slowWait)
		}
	}
	if all.bytes != p.Bytes {
		return first, [32]byte{}, fmt.Errorf("%d bytes arrived of %d", all.bytes, p.Bytes)
	}
	hash := all.hash()
	if hash != expected(p.Seed, first, p.Bytes) {
		return first, hash, fmt.Errorf("stream %d: all bytes arrived, but others than were sent", first)
	}
	return first, hash, nil
}

// All of a stream that is exactly so long.
func readToEnd(s Stream, size int) ([]byte, error) {
	all := make([]byte, 0, size+1)
	for {
		n, err := s.Read(all[len(all):cap(all)])
		all = all[:len(all)+n]
		if len(all) > size {
			return nil, fmt.Errorf("more than %d bytes", size)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	if len(all) != size {
		return nil, fmt.Errorf("%d bytes instead of %d", len(all), size)
	}
	return all, nil
}
