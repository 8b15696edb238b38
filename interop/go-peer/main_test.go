package peer

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
)

// Starts the program as the harness does; gives its output, line by line, and what ends its input.
func start(t *testing.T, transport Transport, plan Plan) (*bufio.Reader, func()) {
	t.Helper()
	arguments, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	input, end := io.Pipe()
	output, write := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(transport, []string{string(arguments)}, input, write) }()
	return bufio.NewReader(output), func() {
		_ = end.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func line(t *testing.T, output *bufio.Reader) string {
	t.Helper()
	line, err := output.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

func TestThePlanOfTheHarnessIsUnderstood(t *testing.T) {
	text := `{"scenario":"64mib","flow":"acceptor","dial":"127.0.0.1:9","streams":1,"bytes":67108864,` +
		`"seed":18446744073709551615,"idle_ms":33000,"version":"3"}`
	var plan Plan
	if err := json.Unmarshal([]byte(text), &plan); err != nil {
		t.Fatal(err)
	}
	if !plan.opens() || plan.openerSends() || plan.isActive() || plan.Bytes != 64<<20 || plan.Seed != 1<<64-1 {
		t.Errorf("%+v", plan)
	}
}

func TestAnAcceptorSaysWhereAndHowItEnded(t *testing.T) {
	output, end := start(t, &refusing{}, Plan{Scenario: "1-byte", Flow: "opener", Streams: 1, Bytes: 1})
	if said := line(t, output); said != "listening here" {
		t.Error(said)
	}
	if said := line(t, output); said != "failed nobody came" {
		t.Error(said)
	}
	end()
}

type refusing struct{}

func (*refusing) Listen() (string, error)                          { return "here", nil }
func (*refusing) Accept(context.Context) (Connection, error)       { return nil, errors.New("nobody came") }
func (*refusing) Dial(context.Context, string) (Connection, error) { return nil, errors.New("no way") }
func (*refusing) Close()                                           {}
