package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const (
	// What comes goes back, behind one byte that says that somebody is there.
	echoProtocol = protocol.ID("/gapless-interop/echo/1")
	// libp2p's measurement of throughput: how many bytes are wanted back, then any number of bytes.
	perfProtocol = protocol.ID("/perf/1.0.0")
	// The first byte says who resets the stream after some data.
	resetProtocol = protocol.ID("/gapless-interop/reset/1")
)

const (
	there      = '!'
	openerEnds = 'o'
	serverEnds = 's'
	// Bytes before a reset: some packets.
	beforeReset = 5000
)

// How the streams ended that the other side was to reset: whether by a reset.
type resets struct {
	seen chan bool
}

func serve(node host.Host) *resets {
	node.SetStreamHandler(echoProtocol, serveEcho)
	node.SetStreamHandler(perfProtocol, servePerf)
	seen := &resets{seen: make(chan bool, 16)}
	node.SetStreamHandler(resetProtocol, seen.serve)
	return seen
}

func serveEcho(stream network.Stream) {
	_, err := stream.Write([]byte{there})
	if err == nil {
		_, err = io.Copy(stream, stream)
	}
	finish(stream, err)
}

func servePerf(stream network.Stream) {
	var wanted [8]byte
	_, err := io.ReadFull(stream, wanted[:])
	if err == nil {
		_, err = io.Copy(io.Discard, stream)
	}
	if err == nil {
		_, err = io.CopyN(stream, zeros{}, int64(binary.BigEndian.Uint64(wanted[:])))
	}
	finish(stream, err)
}

func finish(stream network.Stream, err error) {
	if err != nil {
		stream.Reset()
		return
	}
	stream.Close()
}

// Opens a stream and waits until the other side's program has it.
func open(ctx context.Context, node host.Host, other peer.ID) (network.Stream, error) {
	stream, err := node.NewStream(ctx, other, echoProtocol)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		stream.SetDeadline(deadline)
	}
	var first [1]byte
	if _, err := io.ReadFull(stream, first[:]); err != nil || first[0] != there {
		stream.Reset()
		return nil, fmt.Errorf("the echo did not begin: %w", err)
	}
	return stream, nil
}

func echo(ctx context.Context, node host.Host, other peer.ID, bytes int64) (answer, error) {
	stream, err := open(ctx, node, other)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := exchange(stream, 1, bytes); err != nil {
		stream.Reset()
		return nil, err
	}
	return answer{"seconds": time.Since(began).Seconds()}, nil
}

func manyStreams(ctx context.Context, node host.Host, other peer.ID, count int, bytes int64) (answer, error) {
	streams := make([]network.Stream, 0, count)
	for range count {
		stream, err := open(ctx, node, other)
		if err != nil {
			return nil, fmt.Errorf("stream %d: %w", len(streams), err)
		}
		streams = append(streams, stream)
	}
	began := time.Now()
	failures := make([]error, count)
	var all sync.WaitGroup
	for number, stream := range streams {
		all.Go(func() {
			failures[number] = exchange(stream, uint64(number), bytes+int64(number))
		})
	}
	all.Wait()
	if err := errors.Join(failures...); err != nil {
		return nil, err
	}
	return answer{"seconds": time.Since(began).Seconds()}, nil
}

// Sends a pattern and its end, and compares what comes back.
func exchange(stream network.Stream, seed uint64, bytes int64) error {
	sent := make(chan error, 1)
	go func() {
		_, err := io.CopyN(stream, &pattern{state: seed}, bytes)
		if err == nil {
			err = stream.CloseWrite()
		}
		sent <- err
	}()
	expected := io.LimitReader(&pattern{state: seed}, bytes)
	received, err := compare(stream, expected)
	if err != nil {
		return fmt.Errorf("after %d of %d bytes: %w", received, bytes, err)
	}
	if err := <-sent; err != nil {
		return err
	}
	return stream.Close()
}

func compare(got, expected io.Reader) (int64, error) {
	ours, theirs := make([]byte, 1<<16), make([]byte, 1<<16)
	position := int64(0)
	for {
		size, err := got.Read(theirs)
		if _, err := io.ReadFull(expected, ours[:size]); err != nil {
			return position, errors.New("more came back than was sent")
		}
		for i := range size {
			if ours[i] != theirs[i] {
				return position, fmt.Errorf("byte %d is %d, not %d", position+int64(i), theirs[i], ours[i])
			}
		}
		position += int64(size)
		if err == io.EOF {
			if rest, _ := expected.Read(ours[:1]); rest != 0 {
				return position, io.ErrUnexpectedEOF
			}
			return position, nil
		}
		if err != nil {
			return position, err
		}
	}
}

func measure(ctx context.Context, node host.Host, other peer.ID, upload, download uint64) (answer, error) {
	stream, err := node.NewStream(ctx, other, perfProtocol)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		stream.SetDeadline(deadline)
	}
	began := time.Now()
	var wanted [8]byte
	binary.BigEndian.PutUint64(wanted[:], download)
	_, err = stream.Write(wanted[:])
	if err == nil {
		_, err = io.CopyN(stream, zeros{}, int64(upload))
	}
	if err == nil {
		err = stream.CloseWrite()
	}
	received := int64(0)
	if err == nil {
		received, err = io.Copy(io.Discard, stream)
	}
	if err == nil && received != int64(download) {
		err = fmt.Errorf("%d bytes came, not %d", received, download)
	}
	finish(stream, err)
	return answer{"seconds": time.Since(began).Seconds()}, err
}

// Serves a stream that one of both sides resets.
func (r *resets) serve(stream network.Stream) {
	var who [1]byte
	_, err := io.ReadFull(stream, who[:])
	if err == nil && who[0] == serverEnds {
		io.CopyN(io.Discard, stream, beforeReset)
		stream.Reset()
		return
	}
	// A reset also takes what came before it and was not read yet.
	if err == nil {
		_, err = io.Copy(io.Discard, stream)
	}
	r.seen <- errors.Is(err, network.ErrReset)
	stream.Reset()
}

// Has a stream reset by the other side and notices it, and resets one. The other side tells what it saw of that by itself.
func resetBothWays(ctx context.Context, node host.Host, other peer.ID) (answer, error) {
	stream, err := node.NewStream(ctx, other, resetProtocol)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		stream.SetDeadline(deadline)
	}
	if _, err := stream.Write([]byte{serverEnds}); err != nil {
		return nil, err
	}
	_, err = io.CopyN(stream, zeros{}, beforeReset)
	if err == nil {
		_, err = io.Copy(io.Discard, stream)
	}
	if !errors.Is(err, network.ErrReset) {
		return nil, fmt.Errorf("the other side's reset was not seen: %v", err)
	}

	stream, err = node.NewStream(ctx, other, resetProtocol)
	if err != nil {
		return nil, err
	}
	if _, err := stream.Write([]byte{openerEnds}); err != nil {
		return nil, err
	}
	if _, err := io.CopyN(stream, zeros{}, beforeReset); err != nil {
		return nil, err
	}
	if err := stream.Reset(); err != nil {
		return nil, err
	}
	return connections(node, other), nil
}

// What this host saw of the resets of streams that it serves.
func seenReset(ctx context.Context, resets *resets) (answer, error) {
	select {
	case <-ctx.Done():
		return nil, errors.New("no stream was reset")
	case reset := <-resets.seen:
		return answer{"reset": reset}, nil
	}
}

type zeros struct{}

func (zeros) Read(buffer []byte) (int, error) {
	clear(buffer)
	return len(buffer), nil
}

// Bytes that tell where they belong, so that any loss, repetition or mix-up shows.
type pattern struct {
	state uint64
}

func (p *pattern) Read(buffer []byte) (int, error) {
	for i := range buffer {
		p.state = p.state*6364136223846793005 + 1442695040888963407
		buffer[i] = byte(p.state >> 56)
	}
	return len(buffer), nil
}
