package control

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/postmoat/postmoat/pkg/allow"
	"github.com/postmoat/postmoat/pkg/daemon"
	"github.com/postmoat/postmoat/pkg/prefix"
)

// The handlers of requests that change something. The daemon logs what was
// done, and who asked for it.

// change carries out a change in its time, and logs one that was refused.
// refused is the status of an error that says nothing of its kind.
func (s *Server) change(q *http.Request, what string, refused int, do func(ctx context.Context, by string) error) error {
	err := s.carry(q, refused, do)
	if err != nil {
		s.log.Warn("request refused", "request", what, "by", by(q.Context()), "err", err)
	}
	return err
}

// carry carries out a change in its time.
func (s *Server) carry(q *http.Request, refused int, do func(ctx context.Context, by string) error) error {
	ctx, cancel := context.WithTimeout(q.Context(), s.wait.slow)
	defer cancel()
	if err := do(ctx, by(q.Context())); err != nil {
		return answerTo(err, refused)
	}
	return nil
}

// done answers that a change was made.
func (s *Server) done(w http.ResponseWriter, v any) error {
	if n := s.d.Unwritten(); n > 0 {
		w.Header().Set(warning, fmt.Sprintf("the disk does not take what operators do (records that wait: %d): it is lost if the daemon ends before there is space for its state", n))
	}
	return reply(w, http.StatusOK, v)
}

func (s *Server) ban(w http.ResponseWriter, q *http.Request) error {
	var in BanRequest
	if err := read(q, &in); err != nil {
		return err
	}
	p, err := network(in.Prefix)
	if err != nil {
		return err
	}
	r := daemon.BanRequest{Prefix: p, Because: in.Because, Force: in.Force}
	if r.For, err = seconds(in.Seconds); err != nil {
		return err
	}
	if err := reason(in.Because); err != nil {
		return err
	}
	if len(in.Peers) > maxPeers {
		return bad(fmt.Sprintf("more than %d peers", maxPeers), "")
	}
	for _, text := range in.Peers {
		a, err := address(text)
		if err != nil {
			return err
		}
		r.Peers = append(r.Peers, a)
	}
	out := []Ban{}
	err = s.change(q, "ban "+p.String(), http.StatusInternalServerError, func(ctx context.Context, by string) error {
		r.By = by
		held, err := s.d.Ban(ctx, r)
		now := time.Now()
		for i := range held {
			out = append(out, fromHeld(&held[i], now))
		}
		return err
	})
	if err != nil {
		return err
	}
	return s.done(w, out)
}

func (s *Server) unban(w http.ResponseWriter, q *http.Request) error {
	var in UnbanRequest
	if err := read(q, &in); err != nil {
		return err
	}
	r := daemon.UnbanRequest{For: defaultUnban}
	if in.All {
		r.For = 0
	}
	switch {
	case in.All == (in.Prefix != ""):
		return bad("name either a prefix or all", "")
	case in.All && in.Seconds != nil && *in.Seconds != 0:
		return bad("all is not put on the allowlist", "'postmoat pause' keeps new bans away")
	case in.Seconds != nil:
		d, err := seconds(*in.Seconds)
		if err != nil {
			return err
		}
		r.For = d
	}
	what := "unban all"
	if !in.All {
		p, err := network(in.Prefix)
		if err != nil {
			return err
		}
		r.Prefix, what = p, "unban "+p.String()
	}
	var out daemon.Unbanned
	err := s.change(q, what, http.StatusInternalServerError, func(ctx context.Context, by string) (err error) {
		r.By = by
		out, err = s.d.Unban(ctx, r)
		return err
	})
	if err != nil {
		return err
	}
	out.Lifted = list(out.Lifted)
	return s.done(w, out)
}

func (s *Server) allowAdd(w http.ResponseWriter, q *http.Request) error {
	var in AllowRequest
	if err := read(q, &in); err != nil {
		return err
	}
	p, err := network(in.Prefix)
	if err != nil {
		return err
	}
	d, err := seconds(in.Seconds)
	if err != nil {
		return err
	}
	if err := reason(in.Because); err != nil {
		return err
	}
	a := allow.Addition{Prefix: p, Persist: in.Persist, Because: in.Because}
	out := Allowed{Prefix: p.String(), Kind: allow.Operator.String(), Origin: in.Because}
	if d > 0 {
		until := time.Now().Add(d).Truncate(time.Second).UTC()
		a.Until, out.Until = until.Unix(), &until
	}
	err = s.change(q, "allow add "+p.String(), http.StatusConflict, func(ctx context.Context, by string) error { return s.d.AllowAdd(ctx, a, by) })
	if err != nil {
		return err
	}
	return s.done(w, out)
}

func (s *Server) allowRemove(w http.ResponseWriter, q *http.Request) error {
	var in PrefixRequest
	if err := read(q, &in); err != nil {
		return err
	}
	p, err := network(in.Prefix)
	if err != nil {
		return err
	}
	err = s.change(q, "allow remove "+p.String(), http.StatusConflict, func(ctx context.Context, by string) error { return s.d.AllowRemove(ctx, p, by) })
	if err != nil {
		return err
	}
	return s.done(w, PrefixRequest{p.String()})
}

func (s *Server) reload(w http.ResponseWriter, q *http.Request) error {
	if err := nothing(q); err != nil {
		return err
	}
	var out Reloaded
	// The daemon logs a refusal too: a reload may also be asked for by a signal.
	err := s.carry(q, http.StatusConflict, func(ctx context.Context, by string) (err error) {
		out.Changes, err = s.d.Reload(ctx, by)
		return err
	})
	if err != nil {
		return err
	}
	out.Changes = list(out.Changes)
	return s.done(w, out)
}

func (s *Server) pause(w http.ResponseWriter, q *http.Request) error {
	return s.simple(w, q, "pause", s.d.Pause)
}

func (s *Server) resume(w http.ResponseWriter, q *http.Request) error {
	return s.simple(w, q, "resume", s.d.Resume)
}

func (s *Server) simple(w http.ResponseWriter, q *http.Request, what string, do func(context.Context, string) error) error {
	if err := nothing(q); err != nil {
		return err
	}
	if err := s.change(q, what, http.StatusConflict, do); err != nil {
		return err
	}
	return s.done(w, struct{}{})
}

// network reads a prefix or an address.
func network(text string) (netip.Prefix, error) {
	p, err := prefix.ParseAny(text)
	if err != nil {
		return netip.Prefix{}, bad(err.Error(), "")
	}
	return p, nil
}

func seconds(n int64) (time.Duration, error) {
	if n < 0 || n > int64(maxFor/time.Second) {
		return 0, bad(fmt.Sprintf("for: %d seconds are out of range", n), "write 0 for no end, at most ten years")
	}
	return time.Duration(n) * time.Second, nil
}

// reason checks the operator's words.
func reason(text string) error {
	if len(text) > maxBecause || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return bad(fmt.Sprintf("because: longer than %d bytes, or not plain text", maxBecause), "")
	}
	return nil
}
