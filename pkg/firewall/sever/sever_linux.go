package sever

import (
	"context"
	"errors"
	"net/netip"
	"sync/atomic"

	"github.com/mdlayher/netlink"
	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/prefix"
	"golang.org/x/sys/unix"
)

// Bounds of one call: no more sockets are remembered at once (52 bytes each),
// no more rounds are made.
const (
	mostSockets = 1 << 16
	mostRounds  = 64
)

// A Severer knows the ports of each door and whom to spare. It holds no resources, and its
// methods may be called by several goroutines.
type Severer struct {
	doors  map[uint16]doorSet // the doors of each mail port
	filter []byte             // by which the kernel leaves out other ports, may be nil
	most   int                // mostSockets
	allow  atomic.Pointer[prefix.Set]
}

// A doorSet has one bit for each door.
type doorSet uint8

const everyDoor = ^doorSet(0)

// New makes a Severer for the ports of the options, and tries whether the
// kernel and our capabilities let it work. The error is then a
// *[firewall.Error]: ErrNotPermitted without CAP_NET_ADMIN, ErrMissingModule
// where the kernel cannot destroy sockets (CONFIG_INET_DIAG_DESTROY). Bans
// work without: so a daemon says it and goes on.
func New(o firewall.Options) (*Severer, error) {
	o, err := o.WithDefaults()
	if err != nil {
		return nil, err
	}
	s := &Severer{doors: make(map[uint16]doorSet), filter: portFilter(o.AllPorts()), most: mostSockets}
	s.SetAllow(nil)
	for door, ports := range o.Ports {
		for _, p := range ports {
			s.doors[p] |= 1 << door
		}
	}
	return s, explain("start", probe())
}

// SetAllow says whose sockets are never destroyed, whatever entry they lie in:
// the allowlist, which the firewall does not cut either. Prefixes may overlap.
func (s *Severer) SetAllow(allow []netip.Prefix) {
	set := new(prefix.Set)
	for _, p := range allow {
		set.Insert(p)
	}
	s.allow.Store(set)
}

// Sever destroys the TCP sockets of our network namespace whose remote address
// lies in one of the entries and whose local port is one of the door that the
// entry holds at (of any door, if it holds everywhere): those that somebody may
// wait for, so neither listening ones nor TIME_WAIT. Our own deliveries to a
// banned network have a local port of their own and live on. A socket that is
// gone meanwhile is no error.
//
// It is one look at all sockets, however many entries there are. The firewall
// should hold the entries already, else the clients just come again. Where it
// fails half-way the result tells what was done before; ErrBadEntry means that
// nothing was.
func (s *Severer) Sever(ctx context.Context, entries []ban.Entry) (Result, error) {
	var res Result
	if err := firewall.CheckChange(name, ban.Change{Add: entries}); err != nil {
		return res, err
	}
	if len(entries) == 0 {
		return res, ctx.Err()
	}
	bans := s.table(entries)
	c, err := netlink.Dial(unix.NETLINK_SOCK_DIAG, nil)
	if err != nil {
		return res, explain("connect", err)
	}
	defer c.Close()
	for range mostRounds {
		found, err := s.find(ctx, c, bans, &res)
		if err != nil {
			return res, explain("list sockets", err)
		}
		before := res.Destroyed
		for _, id := range found {
			if err := ctx.Err(); err != nil {
				return res, err
			}
			switch err := destroy(c, id); {
			case err == nil:
				res.Destroyed++
			case errors.Is(err, unix.ENOENT): // gone meanwhile
			case errors.Is(err, unix.EOPNOTSUPP):
				// Older kernels refuse the rest of a FIN_WAIT2, for which no
				// process waits. That the kernel can destroy, New has seen.
			default:
				return res, explain("destroy socket", err)
			}
		}
		if len(found) < s.most || res.Destroyed == before {
			return res, nil
		}
	}
	return res, errors.New("sever: there is no end to the sockets of banned clients: is the firewall in place?")
}

// table says for each banned prefix at which doors.
func (s *Severer) table(entries []ban.Entry) *prefix.Table[doorSet] {
	bans := new(prefix.Table[doorSet])
	for _, e := range entries {
		at := doorSet(1) << e.Door
		if e.Everywhere() {
			at = everyDoor
		}
		had, _ := bans.Get(e.Prefix)
		bans.Insert(e.Prefix, had|at)
	}
	return bans
}

// find lists the sockets to destroy, at most s.most.
func (s *Severer) find(ctx context.Context, c *netlink.Conn, bans *prefix.Table[doorSet], res *Result) ([]sockID, error) {
	var found []sockID
	allow := s.allow.Load()
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		for id, err := range dump(c, family, s.filter) {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return nil, err
			}
			doors := s.doors[id.localPort()]
			if doors == 0 {
				continue // there was no filter
			}
			res.Examined++
			if !banned(bans, id.remote(), doors) || allow.Contains(id.remote()) {
				continue
			}
			if found = append(found, id); len(found) == s.most {
				return found, nil
			}
		}
	}
	return found, nil
}

// banned says whether an address is banned at one of the doors, by whichever of
// the prefixes that hold it.
func banned(bans *prefix.Table[doorSet], remote netip.Addr, doors doorSet) bool {
	p, at, ok := bans.Lookup(remote)
	if !ok || at&doors != 0 {
		return ok
	}
	for _, at := range bans.Supernets(p) {
		if at&doors != 0 {
			return true
		}
	}
	return false
}
