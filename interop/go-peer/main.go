package peer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// To let the last packets leave before the process does.
const goodbye = 50 * time.Millisecond

// Main is the whole program: the plan is its one argument, and what it has to tell goes to standard output, line by line. It ends when
// its standard input does.
func Main(t Transport) {
	if err := run(t, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(2)
	}
}

func run(t Transport, arguments []string, input io.Reader, output io.Writer) error {
	if len(arguments) != 1 {
		return errors.New("the plan has to be the only argument")
	}
	var plan Plan
	if err := json.Unmarshal([]byte(arguments[0]), &plan); err != nil {
		return fmt.Errorf("the plan: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, input)
		close(ended)
	}()
	defer t.Close()
	talked := make(chan error, 1)
	var connection Connection
	go func() {
		var err error
		connection, err = connect(t, &plan, output)
		if err == nil {
			var note string
			note, err = Side(context.Background(), connection, &plan)
			if err == nil {
				fmt.Fprintln(output, "done", note)
			}
		}
		if err != nil {
			fmt.Fprintln(output, "failed", err)
		}
		talked <- err
	}()
	<-ended
	select {
	case <-talked:
		if connection != nil {
			connection.Close()
			time.Sleep(goodbye)
		}
	default: // Nobody waits for the conversation any more.
	}
	return nil
}

func connect(t Transport, plan *Plan, output io.Writer) (Connection, error) {
	if plan.Dial != nil {
		return t.Dial(context.Background(), *plan.Dial)
	}
	address, err := t.Listen()
	if err != nil {
		return nil, err
	}
	fmt.Fprintln(output, "listening", address)
	return t.Accept(context.Background())
}
