package control

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// rawGet and rawDo ask without the client, as a foreign program would.
func rawGet(t *testing.T, socket, path string) (int, []byte) {
	t.Helper()
	return rawDo(t, socket, "GET", path, "")
}

func rawDo(t *testing.T, socket, method, path, body string) (int, []byte) {
	t.Helper()
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	defer tr.CloseIdleConnections()
	q, err := http.NewRequestWithContext(t.Context(), method, "http://x"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	a, err := (&http.Client{Transport: tr}).Do(q)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, text
}
