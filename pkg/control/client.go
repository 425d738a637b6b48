package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/postmoat/postmoat/pkg/daemon"
)

// A Client asks a running daemon. Its errors are *[Error] where something can
// be said about them.
type Client struct {
	// Warn is told what the daemon has to say about a request that succeeded:
	// that it could not write down what was done, say. It may be nil.
	Warn func(text string)

	socket string
	http   *http.Client
}

// clientTime bounds a request of a client, but for events: a little more than
// the daemon gives itself.
const clientTime = slowTime + 10*time.Second

// Dial makes a Client for the daemon at a socket. It connects when it is first
// asked something; Close lets go of the connection.
func Dial(socket string) *Client {
	var d net.Dialer
	return &Client{socket: socket, http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.DialContext(ctx, "unix", socket)
		},
		MaxIdleConns: 1, DisableCompression: true,
	}}}
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status says how the daemon is doing.
func (c *Client) Status(ctx context.Context) (daemon.Status, error) {
	return get[daemon.Status](ctx, c, http.MethodGet, "/status", nil)
}

// Bans returns the running bans that q chooses.
func (c *Client) Bans(ctx context.Context, q Query) ([]Ban, error) {
	path := "/bans"
	if v := q.values(); len(v) > 0 {
		path += "?" + v.Encode()
	}
	return get[[]Ban](ctx, c, http.MethodGet, path, nil)
}

// Explain tells all that is known of an address.
func (c *Client) Explain(ctx context.Context, a netip.Addr) (Explanation, error) {
	return get[Explanation](ctx, c, http.MethodGet, "/explain/"+url.PathEscape(a.String()), nil)
}

// Ban bans a prefix, and returns when the firewall holds it.
func (c *Client) Ban(ctx context.Context, r BanRequest) ([]Ban, error) {
	return get[[]Ban](ctx, c, http.MethodPost, "/ban", r)
}

// Unban lifts bans, and returns when the firewall has let go.
func (c *Client) Unban(ctx context.Context, r UnbanRequest) (daemon.Unbanned, error) {
	return get[daemon.Unbanned](ctx, c, http.MethodPost, "/unban", r)
}

// Allowlist is the allowlist in force.
func (c *Client) Allowlist(ctx context.Context) (Allowlist, error) {
	return get[Allowlist](ctx, c, http.MethodGet, "/allow", nil)
}

// AllowAdd puts a prefix on the allowlist.
func (c *Client) AllowAdd(ctx context.Context, r AllowRequest) (Allowed, error) {
	return get[Allowed](ctx, c, http.MethodPost, "/allow/add", r)
}

// AllowRemove takes back what AllowAdd did.
func (c *Client) AllowRemove(ctx context.Context, prefix string) error {
	_, err := get[PrefixRequest](ctx, c, http.MethodPost, "/allow/remove", PrefixRequest{prefix})
	return err
}

// Reload makes the daemon read its configuration again.
func (c *Client) Reload(ctx context.Context) (Reloaded, error) {
	return get[Reloaded](ctx, c, http.MethodPost, "/reload", nil)
}

// Pause keeps new bans away until Resume.
func (c *Client) Pause(ctx context.Context) error {
	_, err := get[struct{}](ctx, c, http.MethodPost, "/pause", nil)
	return err
}

// Resume bans again.
func (c *Client) Resume(ctx context.Context) error {
	_, err := get[struct{}](ctx, c, http.MethodPost, "/resume", nil)
	return err
}

// Events hands what happens to fn until ctx ends (nil), the daemon does
// ([ErrNotRunning]) or fn returns an error (that one). ready is called when
// nothing is missed any more; it may be nil.
func (c *Client) Events(ctx context.Context, ready func(), fn func(daemon.Event) error) error {
	body, err := c.send(ctx, http.MethodGet, "/"+Version+"/events", nil)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer body.Close()
	if ready != nil {
		ready()
	}
	d := json.NewDecoder(bufio.NewReader(body))
	for {
		var e daemon.Event
		err := d.Decode(&e)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return &Error{What: "the daemon has ended, and with it the events", Kind: ErrNotRunning}
		case err != nil:
			return fmt.Errorf("read events: %w", err)
		}
		if err := fn(e); err != nil {
			return err
		}
	}
}

// Metrics writes the metrics in the Prometheus text format.
func (c *Client) Metrics(ctx context.Context, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, clientTime)
	defer cancel()
	body, err := c.send(ctx, http.MethodGet, "/metrics", nil)
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = io.Copy(w, body)
	return err
}

// get sends a request and reads the answer.
func get[T any](ctx context.Context, c *Client, method, path string, in any) (T, error) {
	var out T
	ctx, cancel := context.WithTimeout(ctx, clientTime)
	defer cancel()
	body, err := c.send(ctx, method, "/"+Version+path, in)
	if err != nil {
		return out, err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(&out); err != nil {
		return out, &Error{What: fmt.Sprintf("%s: %s %s: answer not understood: %v", c.socket, method, path, err), Kind: ErrNotUnderstood,
			Hint: "is the daemon of the same version as this command? 'postmoat version' and 'postmoat status' say"}
	}
	return out, nil
}

// send sends a request. The body of the answer is the caller's to close.
func (c *Client) send(ctx context.Context, method, path string, in any) (io.ReadCloser, error) {
	var text io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		text = bytes.NewReader(b)
	}
	q, err := http.NewRequestWithContext(ctx, method, "http://postmoat"+path, text)
	if err != nil {
		return nil, err
	}
	if in != nil {
		q.Header.Set("Content-Type", "application/json")
	}
	a, err := c.http.Do(q)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if a.StatusCode == http.StatusOK {
		if text := a.Header.Get(warning); text != "" && c.Warn != nil {
			c.Warn(text)
		}
		return a.Body, nil
	}
	defer a.Body.Close()
	return nil, refusal(a)
}

// refusal reads the answer to a request that did not succeed.
func refusal(a *http.Response) error {
	var p problem
	b, err := io.ReadAll(io.LimitReader(a.Body, maxBody))
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err != nil || p.Error == "" {
		return &Error{Status: a.StatusCode, What: "the daemon answers " + a.Status, Kind: ErrNotUnderstood,
			Hint: "is the daemon of the same version as this command? 'postmoat version' and 'postmoat status' say"}
	}
	return &Error{Status: a.StatusCode, What: p.Error, Hint: p.Hint}
}

// unreachable says what an operator can do when there is no answer.
func (c *Client) unreachable(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // what was asked says nothing
	}
	e := &Error{What: fmt.Sprintf("control socket: %v", err)}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		e.What = fmt.Sprintf("no answer at %s: is the daemon running?", c.socket)
		e.Kind = ErrNotRunning
		e.Hint = "start it: 'systemctl start postmoat' or 'postmoat run'; if it listens elsewhere, say --config FILE or --socket PATH"
	case errors.Is(err, fs.ErrPermission):
		e.What = fmt.Sprintf("%s may not be opened", c.socket)
		e.Kind = ErrNotPermitted
		e.Hint = "you need to be root" + orInGroup(c.socket)
	case errors.Is(err, context.DeadlineExceeded):
		e.What = fmt.Sprintf("no answer at %s in time", c.socket)
		e.Hint = "the daemon may be very busy: its log says more"
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		e.What = "the daemon ended before it answered"
		e.Kind = ErrNotRunning
		e.Hint = "its log says why"
	}
	return e
}

// orInGroup names the group that may open the socket, as far as one can see.
func orInGroup(socket string) string {
	for _, path := range []string{socket, filepath.Dir(socket)} {
		info, err := os.Stat(path)
		if err != nil {
			continue
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok || st.Gid == 0 || info.Mode()&0o070 == 0 {
			return ""
		}
		gid := strconv.FormatUint(uint64(st.Gid), 10)
		if g, err := user.LookupGroupId(gid); err == nil {
			return " or in group " + g.Name
		}
		return " or in group " + gid
	}
	return ""
}
