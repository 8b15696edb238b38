package peer

import (
	"fmt"
	"math"
	"testing"
)

// The harness has the same lines in a test of its own.
func TestThePatternIsTheOneThatOtherLanguagesMake(t *testing.T) {
	cases := []struct {
		seed  uint64
		index byte
		bytes uint64
		hash  string
	}{
		{1, 0, 1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
		{1, 7, 20, "2be12392d2807b392d4ea55e60191dd347bc0217d8b5f1c4573f206969b49375"},
		{math.MaxUint64, 99, 200_000, "bf8d8f649480a107134666ffe27c2b1614653ea2f8367fac5df3dd43471d5cc5"},
	}
	for _, c := range cases {
		if hash := fmt.Sprintf("%x", expected(c.seed, c.index, c.bytes)); hash != c.hash {
			t.Errorf("%d %d %d: %s", c.seed, c.index, c.bytes, hash)
		}
	}
}
