package allow

import (
	"bytes"
	"net/netip"

	"github.com/postmoat/postmoat/pkg/prefix"
)

const (
	maxResolvConf = 64 << 10
	maxResolvers  = 32
)

// A nameserver is one of a resolv.conf.
type nameserver struct {
	line int
	addr netip.Addr
}

// parseResolvConf finds the resolvers in the text of a resolv.conf(5).
func parseResolvConf(text []byte) []nameserver {
	var found []nameserver
	n := 0
	for line := range bytes.Lines(text) {
		n++
		// A comment begins in the first column, or after the address.
		f := bytes.Fields(line)
		if len(f) < 2 || string(f[0]) != "nameserver" || len(found) == maxResolvers {
			continue
		}
		if a, err := netip.ParseAddr(string(f[1])); err == nil {
			found = append(found, nameserver{n, prefix.Addr(a)})
		}
	}
	return found
}
