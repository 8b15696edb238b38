// Package overtcp carries a conversation over TCP, one TCP connection for each stream: what all but the adapter of the real transport is
// tested with.
package overtcp

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"

	"gapless.invalid/interop/peer"
)

// The name of a connection, which each stream's TCP connection says first.
type name [8]byte

// New gives a transport on loopback.
func New() peer.Transport {
	return &transport{incoming: make(chan *connection, 1), known: map[name]*connection{}}
}

type transport struct {
	listener net.Listener
	incoming chan *connection
	mu       sync.Mutex
	known    map[name]*connection
}

func (t *transport) Listen() (string, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	t.listener = listener
	go t.take()
	return listener.Addr().String(), nil
}

func (t *transport) take() {
	for {
		tcp, err := t.listener.Accept()
		if err != nil {
			return
		}
		go t.sort(tcp.(*net.TCPConn))
	}
}

func (t *transport) sort(tcp *net.TCPConn) {
	var id name
	if _, err := io.ReadFull(tcp, id[:]); err != nil {
		_ = tcp.Close()
		return
	}
	t.mu.Lock()
	c, known := t.known[id]
	if !known {
		c = newConnection(id, "")
		t.known[id] = c
	}
	t.mu.Unlock()
	c.incoming <- &stream{tcp}
	if !known {
		t.incoming <- c
	}
}

func (t *transport) Accept(ctx context.Context) (peer.Connection, error) {
	select {
	case c := <-t.incoming:
		return c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (t *transport) Dial(_ context.Context, address string) (peer.Connection, error) {
	var id name
	_, err := rand.Read(id[:])
	return newConnection(id, address), err
}

func (t *transport) Close() {
	if t.listener != nil {
		_ = t.listener.Close()
	}
}

type connection struct {
	id       name
	address  string
	incoming chan *stream
}

func newConnection(id name, address string) *connection {
	return &connection{id, address, make(chan *stream, 128)}
}

func (c *connection) Open(ctx context.Context) (peer.Stream, error) {
	var dialer net.Dialer
	tcp, err := dialer.DialContext(ctx, "tcp4", c.address)
	if err != nil {
		return nil, err
	}
	_, err = tcp.Write(c.id[:])
	return &stream{tcp.(*net.TCPConn)}, err
}

func (c *connection) Accept(ctx context.Context) (peer.Stream, error) {
	select {
	case s := <-c.incoming:
		return s, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *connection) Ping(context.Context) error { return nil }

func (c *connection) Close() {}

type stream struct{ tcp *net.TCPConn }

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.tcp.Read(p)
	return n, told(err)
}

func (s *stream) Write(p []byte) (int, error) {
	n, err := s.tcp.Write(p)
	return n, told(err)
}

func (s *stream) Finish() error { return s.tcp.CloseWrite() }

// TCP has no code to tell.
func (s *stream) Reset(uint32) {
	_ = s.tcp.SetLinger(0)
	_ = s.tcp.Close()
}

func told(err error) error {
	if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return &peer.ResetError{Code: peer.UnknownCode}
	}
	return err
}
