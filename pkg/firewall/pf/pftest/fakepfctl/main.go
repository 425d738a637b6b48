// Fakepfctl is the fake of pftest as a program of its own, for tests that run
// with the race detector: as a copy of such a test binary each run would take
// a quarter of a second. It has to be called pfctl.
package main

import (
	"os"

	"github.com/postmoat/postmoat/pkg/firewall/pf/pftest"
)

func main() {
	pftest.Main()
	os.Stderr.WriteString("fakepfctl: not called pfctl\n")
	os.Exit(pftest.NotCovered)
}
