package control

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/postmoat/postmoat/pkg/daemon"
	"github.com/postmoat/postmoat/pkg/prefix"
)

// The handlers of questions, which change nothing.

func (s *Server) status(w http.ResponseWriter, q *http.Request) error {
	ctx, done, err := s.ask(q)
	if err != nil {
		return err
	}
	defer done()
	st, err := s.d.Status(ctx)
	if err != nil {
		return err
	}
	st.Sources, st.Near, st.Alarms = list(st.Sources), list(st.Near), list(st.Alarms)
	st.Allowlist.Problems = list(st.Allowlist.Problems)
	return reply(w, http.StatusOK, st)
}

func (s *Server) health(w http.ResponseWriter, q *http.Request) error {
	ctx, done, err := s.ask(q)
	if err != nil {
		return err
	}
	defer done()
	st, err := s.d.Status(ctx)
	if err != nil {
		return err
	}
	code := http.StatusOK
	if !st.Healthy {
		code = http.StatusServiceUnavailable
	}
	return reply(w, code, Health{Healthy: st.Healthy, Phase: st.Phase, Alarms: list(st.Alarms)})
}

func (s *Server) bans(w http.ResponseWriter, q *http.Request) error {
	want, err := parseQuery(q.URL.Query())
	if err != nil {
		return err
	}
	ctx, done, err := s.ask(q)
	if err != nil {
		return err
	}
	held, err := s.d.Bans(ctx)
	done() // writing may take long and asks nothing
	if err != nil {
		return err
	}
	return writeBans(w, want.choose(held), time.Now())
}

// writeBans writes bans as one array, piece by piece: there may be a lot of
// them.
func writeBans(w http.ResponseWriter, held []*daemon.Held, now time.Time) error {
	w.Header().Set("Content-Type", "application/json")
	b := bufio.NewWriterSize(w, 32<<10)
	sep := byte('[')
	for _, h := range held {
		text, err := json.Marshal(fromHeld(h, now))
		if err != nil {
			return err
		}
		b.WriteByte(sep)
		if _, err := b.Write(text); err != nil {
			return nil // the client is gone
		}
		sep = ','
	}
	if sep == '[' {
		b.WriteByte(sep)
	}
	b.WriteString("]\n")
	_ = b.Flush() // it does not matter to a client that is gone
	return nil
}

func (s *Server) explain(w http.ResponseWriter, q *http.Request) error {
	a, err := address(strings.TrimPrefix(q.URL.Path, "/"+Version+"/explain/"))
	if err != nil {
		return err
	}
	ctx, done, err := s.ask(q)
	if err != nil {
		return err
	}
	defer done()
	x, err := s.d.Explain(ctx, a)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, fromExplanation(x))
}

func (s *Server) allowlist(w http.ResponseWriter, _ *http.Request) error {
	l := s.d.Allowlist()
	if l == nil {
		return daemon.ErrStopped
	}
	return reply(w, http.StatusOK, FromList(l))
}

// address reads one address.
func address(text string) (netip.Addr, error) {
	p, err := prefix.ParseAny(text)
	if err != nil {
		return netip.Addr{}, bad(err.Error(), "write one address, like 192.0.2.1 or 2001:db8::1")
	}
	if !p.IsSingleIP() {
		return netip.Addr{}, bad(p.String()+" is a network", "write one address of it")
	}
	return p.Addr(), nil
}

// list is an empty list instead of null.
func list[T any](x []T) []T {
	if x == nil {
		return []T{}
	}
	return x
}
