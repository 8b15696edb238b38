package peer_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"gapless.invalid/interop/peer"
	"gapless.invalid/interop/peer/overtcp"
)

// Both sides of a plan, over TCP; gives the opener's end and the acceptor's.
func talk(t *testing.T, opener, acceptor peer.Plan) (error, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	far, near := overtcp.New(), overtcp.New()
	defer far.Close()
	address, err := far.Listen()
	if err != nil {
		t.Fatal(err)
	}
	opener.Dial = &address
	accepted := make(chan error, 1)
	go func() {
		c, err := far.Accept(ctx)
		if err == nil {
			_, err = peer.Side(ctx, c, &acceptor)
		}
		accepted <- err
	}()
	c, err := near.Dial(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	_, opened := peer.Side(ctx, c, &opener)
	select {
	case err := <-accepted:
		return opened, err
	case <-ctx.Done():
		return opened, ctx.Err()
	}
}

func plan(scenario, flow string, streams int, bytes uint64) peer.Plan {
	return peer.Plan{Scenario: scenario, Flow: flow, Streams: streams, Bytes: bytes, Seed: 7, IdleMs: 20}
}

func TestEveryScenarioBothWays(t *testing.T) {
	for _, flow := range []string{"opener", "acceptor"} {
		plans := []peer.Plan{
			plan("1-byte", flow, 1, 1),
			plan("64kib+1", flow, 1, 64<<10+1),
			plan("64mib", flow, 1, 8<<20),
			plan("100-streams", flow, 100, 32<<10),
			plan("half-close", flow, 1, 50_000),
			plan("reset", flow, 1, 256<<20),
			plan("fin-with-data", flow, 1, 500),
			plan("slow-reader", flow, 1, 1<<20),
			plan("idle", flow, 2, 1000),
		}
		for _, p := range plans {
			t.Run(fmt.Sprint(p.Scenario, "/", flow), func(t *testing.T) {
				opened, accepted := talk(t, p, p)
				if opened != nil || accepted != nil {
					t.Error("opener:", opened, "acceptor:", accepted)
				}
			})
		}
	}
}

func TestOtherBytesAreFound(t *testing.T) {
	right := plan("1mib", "acceptor", 1, 1<<20)
	wrong := right
	wrong.Seed++
	opened, _ := talk(t, right, wrong)
	if opened == nil || !strings.Contains(opened.Error(), "others than were sent") {
		t.Error(opened)
	}
}

func TestAShortStreamIsFound(t *testing.T) {
	right := plan("1mib", "acceptor", 1, 1<<20)
	short := right
	short.Bytes--
	opened, _ := talk(t, right, short)
	if opened == nil || !strings.Contains(opened.Error(), "1048575 bytes arrived of 1048576") {
		t.Error(opened)
	}
}
