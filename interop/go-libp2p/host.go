package main

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	ma "github.com/multiformats/go-multiaddr"
)

// A host with what goes over UDX in libp2p: Noise and Yamux, and nothing else.
func newHost(announce string) (host.Host, error) {
	if err := knowUDXAddresses(); err != nil {
		return nil, err
	}
	var further []ma.Multiaddr
	if announce != "" {
		address, err := ma.NewMultiaddr(announce)
		if err != nil {
			return nil, err
		}
		further = append(further, address)
	}
	return libp2p.New(
		libp2p.NoTransports,
		transport(),
		libp2p.ListenAddrStrings(listenAddress),
		libp2p.Security(noise.ID, noise.New),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.AddrsFactory(func(own []ma.Multiaddr) []ma.Multiaddr { return append(own, further...) }),
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.UserAgent("gapless-interop-go"),
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
	)
}

// The release of go-libp2p that was linked.
func libraryVersion() string {
	const module = "github.com/libp2p/go-libp2p"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dependency := range info.Deps {
			if dependency.Path == module {
				return dependency.Version
			}
		}
	}
	return "unknown"
}

func connect(ctx context.Context, node host.Host, other peer.ID, address string) (answer, error) {
	at, err := ma.NewMultiaddr(address)
	if err != nil {
		return nil, err
	}
	if err := node.Connect(ctx, peer.AddrInfo{ID: other, Addrs: []ma.Multiaddr{at}}); err != nil {
		return nil, err
	}
	return connections(node, other), nil
}

func connections(node host.Host, other peer.ID) answer {
	return answer{"connections": len(node.Network().ConnsToPeer(other))}
}

// What the other side's identify message said. Waits for it.
func identified(ctx context.Context, node host.Host, other peer.ID) (answer, error) {
	for {
		agent, err := node.Peerstore().Get(other, "AgentVersion")
		if err == nil {
			protocols, err := node.Peerstore().GetProtocols(other)
			if err != nil {
				return nil, err
			}
			addresses := []string{}
			for _, address := range node.Peerstore().Addrs(other) {
				addresses = append(addresses, address.String())
			}
			return answer{"agent": agent, "protocols": protocols, "addresses": addresses}, nil
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return nil, errors.New("no identify message came")
		}
	}
}

func pingPeer(ctx context.Context, node host.Host, other peer.ID, count int) (answer, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := ping.Ping(ctx, node, other)
	longest := time.Duration(0)
	for range count {
		result, ok := <-results
		if !ok {
			return nil, errors.New("the pings ended")
		}
		if result.Error != nil {
			return nil, result.Error
		}
		longest = max(longest, result.RTT)
	}
	return answer{"longest_us": longest.Microseconds()}, nil
}

// Waits until no connection with the other side is left; tells how long that took.
func waitClosed(ctx context.Context, node host.Host, other peer.ID) (answer, error) {
	began := time.Now()
	for len(node.Network().ConnsToPeer(other)) > 0 {
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return nil, errors.New("the connection is still there")
		}
	}
	return answer{"after_ms": time.Since(began).Milliseconds()}, nil
}

func pause(ctx context.Context, duration time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(duration):
		return nil
	}
}
