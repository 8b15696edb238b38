//go:build !udx

package main

import (
	"gapless.invalid/interop/peer"
	"gapless.invalid/interop/peer/overtcp"
)

// Without go-udx the program speaks TCP, so that all but the adapter can be tried anywhere.
func transport() peer.Transport { return overtcp.New() }
