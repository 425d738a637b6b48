package allow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
)

// gateways reads the routing tables of the kernel.
func (h *host) gateways(context.Context) (part, error) {
	var all []gateway
	for _, table := range []struct {
		path  string
		parse func(io.Reader) []gateway
	}{{"/proc/net/route", parseRoutes4}, {"/proc/net/ipv6_route", parseRoutes6}} {
		f, _, err := h.o.open(table.path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // no IPv6, say
		}
		if err != nil {
			return part{}, fmt.Errorf("%s: %w", table.path, err)
		}
		all = append(all, table.parse(f)...)
		_ = f.Close()
	}
	return gatewayEntries(all), nil
}

// sessions asks logind and utmp: where one of them knows nothing of a login, the
// other may.
func (h *host) sessions() (pt part) {
	all, logind, err := h.o.logind()
	pt.add(h.keep("login sessions (logind)", sessionEntries(all), err))
	all, utmp, err := h.o.utmp(layoutOf(runtime.GOARCH))
	pt.add(h.keep("login sessions (utmp)", sessionEntries(all), err))
	if !logind && !utmp {
		pt.sources = []Source{{Name: "login sessions",
			Text: "this host has neither logind nor utmp: list the networks you log in from in allow.networks"}}
	}
	return pt
}
