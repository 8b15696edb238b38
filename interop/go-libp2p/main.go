// The program go-libp2p-host is a go-libp2p host that another program tells what to do.
//
// It prints one line of JSON when it is ready, then reads commands from standard input, one JSON object per line, and answers each
// with one line. It ends with its standard input. What it serves without being told: identify, ping, perf, echo, and streams that
// are to be reset.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Nothing takes longer unless it hangs; the other program has a limit of its own.
const patience = 15 * time.Minute

func main() {
	// The peers' "/udx" addresses, as others announce them, whether or not there is a transport for them.
	announce := flag.String("announce", "", "a further address for identify messages")
	flag.Parse()

	node, err := newHost(*announce)
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot start a host:", err)
		os.Exit(1)
	}
	resets := serve(node)
	answers := json.NewEncoder(os.Stdout)
	if err := answers.Encode(ready(node)); err != nil {
		os.Exit(1)
	}

	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() {
		result, err := obey(node, resets, commands.Bytes())
		if err != nil {
			result = answer{"error": err.Error()}
		}
		if err := answers.Encode(result); err != nil {
			break
		}
	}
	node.Close()
}

type answer map[string]any

func ready(node host.Host) answer {
	listening := node.Network().ListenAddresses()
	announced := []string{}
	for _, address := range node.Addrs() {
		announced = append(announced, address.String())
	}
	return answer{
		"peer":      node.ID().String(),
		"address":   listening[0].String(),
		"announced": announced,
		"transport": transportName,
		"version":   libraryVersion(),
	}
}

// A command; each uses some of the fields.
type command struct {
	Do       string `json:"do"`
	Peer     string `json:"peer"`
	Address  string `json:"address"`
	Count    int    `json:"count"`
	Bytes    int64  `json:"bytes"`
	Upload   uint64 `json:"upload"`
	Download uint64 `json:"download"`
	WithinMS int64  `json:"within_ms"`
}

func obey(node host.Host, resets *resets, line []byte) (answer, error) {
	var order command
	if err := json.Unmarshal(line, &order); err != nil {
		return nil, fmt.Errorf("no command: %w", err)
	}
	within := patience
	if order.WithinMS > 0 {
		within = time.Duration(order.WithinMS) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()

	other, err := peer.Decode(order.Peer)
	if err != nil {
		return nil, fmt.Errorf("peer: %w", err)
	}
	switch order.Do {
	case "connect":
		return connect(ctx, node, other, order.Address)
	case "identify":
		return identified(ctx, node, other)
	case "ping":
		return pingPeer(ctx, node, other, order.Count)
	case "perf":
		return measure(ctx, node, other, order.Upload, order.Download)
	case "echo":
		return echo(ctx, node, other, order.Bytes)
	case "streams":
		return manyStreams(ctx, node, other, order.Count, order.Bytes)
	case "reset":
		return resetBothWays(ctx, node, other)
	case "seen-reset":
		return seenReset(ctx, resets)
	case "connections":
		return connections(node, other), nil
	case "wait-closed":
		return waitClosed(ctx, node, other)
	default:
		return nil, fmt.Errorf("unknown command %q", order.Do)
	}
}
