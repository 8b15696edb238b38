// A peer on go-udx, of either version of the wire: which one says the module that it is built against.
package main

import "gapless.invalid/interop/peer"

func main() { peer.Main(transport()) }
