//go:build udx

package main

import (
	"github.com/libp2p/go-libp2p"
	udx "github.com/stephanfeb/go-libp2p-udx-transport"
)

const (
	transportName = "udx"
	listenAddress = "/ip4/127.0.0.1/udp/0/udx"
)

func transport() libp2p.Option {
	return libp2p.Transport(udx.NewTransport)
}

// The transport has done so.
func knowUDXAddresses() error {
	return nil
}
