//go:build !udx

package main

import (
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	// Something in front of this host carries each connection's bytes over one stream of UDX.
	transportName = "tcp"
	listenAddress = "/ip4/127.0.0.1/tcp/0"
)

func transport() libp2p.Option {
	return libp2p.Transport(tcp.NewTCPTransport)
}

// The transport for UDX registers its protocol with the address library; without it, that is done here, so that this host reads
// and writes "/udx" addresses as one that has the transport.
func knowUDXAddresses() error {
	const code = 0x0300
	return ma.AddProtocol(ma.Protocol{Name: "udx", Code: code, VCode: ma.CodeToVarint(code)})
}
