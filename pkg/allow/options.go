package allow

import (
	"context"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"time"
)

// DefaultFolder is the one place of the allowlist that may be absent without a
// problem, although it is named: a fresh installation has nothing in it.
const DefaultFolder = "/etc/postmoat/allow.d"

// A Network is a prefix of the configuration and where it stands there.
type Network struct {
	Prefix netip.Prefix
	Origin string // "postmoat.yaml:12"
}

// A DNS is what names are resolved with; *net.Resolver is one. It is called
// by several goroutines at once.
type DNS interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) // network: "ip4" or "ip6"
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
}

// An InterfaceAddr is one address of this host.
type InterfaceAddr struct {
	Interface string // "eth0"
	Addr      netip.Addr
}

// Options say where to look. The zero value allowlists only the special ranges.
type Options struct {
	Networks []Network
	Files    []string // files or folders, absolute
	Names    []string // DNS names
	Private  bool     // private ranges are never banned

	// Host looks at this host: interfaces, gateways, resolvers, Postfix and
	// the DNS names it gives, login sessions.
	Host bool
	// NoDNS resolves nothing: a replay must not depend on the day it runs.
	NoDNS bool
	// SSHConnection is the value of SSH_CONNECTION where a one-shot command
	// vouches for its own caller with it. The daemon leaves it empty.
	SSHConnection string

	Now        func() time.Time                                                       // default time.Now
	DNS        DNS                                                                    // default net.DefaultResolver
	Interfaces func() ([]InterfaceAddr, error)                                        // default: those of this host
	Root       string                                                                 // in front of every path that is read; default "/"
	Run        func(ctx context.Context, name string, args ...string) ([]byte, error) // default Exec
}

// withDefaults fills in what was left out.
func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.DNS == nil {
		o.DNS = net.DefaultResolver
	}
	if o.Interfaces == nil {
		o.Interfaces = interfaces
	}
	if o.Root == "" {
		o.Root = "/"
	}
	o.Files = slices.Clone(o.Files)
	for i, path := range o.Files {
		o.Files[i] = filepath.Clean(path)
	}
	if o.Run == nil {
		o.Run = Exec
	}
	return o
}

func interfaces() ([]InterfaceAddr, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var found []InterfaceAddr
	for _, i := range all {
		addrs, err := i.Addrs()
		if err != nil {
			return nil, err
		}
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok {
				if ip, ok := netip.AddrFromSlice(n.IP); ok {
					found = append(found, InterfaceAddr{i.Name, ip.Unmap()})
				}
			}
		}
	}
	return found, nil
}
