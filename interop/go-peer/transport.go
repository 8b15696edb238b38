package peer

import (
	"context"
	"errors"
	"fmt"
)

// A Transport is an implementation of UDX, as far as a conversation needs it.
type Transport interface {
	// Listen binds a socket on loopback and tells its address.
	Listen() (string, error)
	// Accept waits for the one connection of the conversation.
	Accept(ctx context.Context) (Connection, error)
	// Dial binds a fresh socket on loopback.
	Dial(ctx context.Context, address string) (Connection, error)
	Close()
}

// A Connection carries streams.
type Connection interface {
	Open(ctx context.Context) (Stream, error)
	Accept(ctx context.Context) (Stream, error)
	Ping(ctx context.Context) error
	Close()
}

// A Stream is read and written by one goroutine each.
type Stream interface {
	// Read gives io.EOF at the end, and a *ResetError once the other side has reset the stream.
	Read(p []byte) (int, error)
	Write(p []byte) (int, error)
	// Finish ends the writing direction.
	Finish() error
	// Reset ends both directions.
	Reset(code uint32)
}

// A ResetError says that the other side reset a stream.
type ResetError struct {
	// Code is UnknownCode if the library does not tell it.
	Code uint32
}

// UnknownCode stands for the code of a reset that the library does not tell.
const UnknownCode = unknownCode

func (e *ResetError) Error() string { return fmt.Sprintf("the stream was reset with code %d", e.Code) }

func resetOf(err error) (saw, bool) {
	var reset *ResetError
	if errors.As(err, &reset) {
		return saw{true, reset.Code}, true
	}
	return saw{}, false
}
