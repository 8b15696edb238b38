//go:build udx

package main

import (
	"context"
	"errors"
	"net"

	"gapless.invalid/interop/peer"
	"github.com/stephanfeb/go-udx"
)

// All that touches go-udx. Its exported names are the same at f41b4e8, which speaks version 2, and at the newest tag, which speaks 3.
func transport() peer.Transport { return &adapter{} }

type adapter struct{ mux *udx.Multiplexer }

// Binds an IPv4 socket of its own: the library's own calls bind both families, and such sockets lose batched writes (UDX D21).
func (a *adapter) bind() error {
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	a.mux = udx.NewMultiplexer(socket, udx.RealClock{})
	return nil
}

func (a *adapter) Listen() (string, error) {
	if err := a.bind(); err != nil {
		return "", err
	}
	return a.mux.Addr().String(), nil
}

func (a *adapter) Accept(ctx context.Context) (peer.Connection, error) {
	c, err := a.mux.Accept(ctx)
	return &connection{c}, err
}

func (a *adapter) Dial(ctx context.Context, address string) (peer.Connection, error) {
	to, err := net.ResolveUDPAddr("udp4", address)
	if err != nil {
		return nil, err
	}
	if err := a.bind(); err != nil {
		return nil, err
	}
	c, err := a.mux.Dial(ctx, to)
	return &connection{c}, err
}

func (a *adapter) Close() {
	if a.mux != nil {
		_ = a.mux.Close()
	}
}

type connection struct{ *udx.Connection }

func (c *connection) Open(ctx context.Context) (peer.Stream, error) {
	s, err := c.OpenStream(ctx)
	return &stream{s}, err
}

func (c *connection) Accept(ctx context.Context) (peer.Stream, error) {
	s, err := c.AcceptStream(ctx)
	return &stream{s}, err
}

func (c *connection) Close() { _ = c.Connection.Close() }

type stream struct{ *udx.Stream }

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.Stream.Read(p)
	return n, told(err)
}

func (s *stream) Write(p []byte) (int, error) {
	n, err := s.Stream.Write(p)
	return n, told(err)
}

func (s *stream) Finish() error { return s.CloseWrite() }

func (s *stream) Reset(code uint32) { _ = s.Stream.Reset(code) }

// The library does not tell the code of a reset.
func told(err error) error {
	if errors.Is(err, udx.ErrStreamReset) {
		return &peer.ResetError{Code: peer.UnknownCode}
	}
	return err
}
