// An API behind hallpass: it verifies session tokens offline, and follows the revocation feed.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var bearer = regexp.MustCompile(`(?i)^bearer ([\w.-]+)$`)

type api struct {
	issuer, audience string
	find             findKey
	feed             *feed
}

func main() {
	bound, err := strconv.Atoi(os.Getenv("BOUND_SECS"))
	if err != nil {
		bound = 10
	}
	a := api{issuer: os.Getenv("ISSUER"), audience: os.Getenv("AUDIENCE")}
	a.find = remoteKeys(a.issuer)
	a.feed = newFeed(a.issuer, a.find, time.Duration(bound)*time.Second)
	go a.feed.follow()
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	// No ServeMux: it would clean paths and redirect.
	log.Fatal(http.Serve(listener, a))
}

func (a api) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	status, body := a.judge(request)
	response.Header().Set("Content-Type", "application/json")
	if status == http.StatusUnauthorized {
		response.Header().Set("WWW-Authenticate", "Bearer")
	}
	response.WriteHeader(status)
	_ = json.NewEncoder(response).Encode(body)
}

func (a api) judge(request *http.Request) (int, any) {
	refuse := func(status int, message string) (int, any) { return status, map[string]string{"message": message} }
	// Two headers are none: which one would count?
	values := request.Header.Values("Authorization")
	if len(values) != 1 || !bearer.MatchString(values[0]) {
		return refuse(http.StatusUnauthorized, "a bearer token is needed")
	}
	token := bearer.FindStringSubmatch(values[0])[1]
	claims, kid, err := verifyToken(token, a.issuer, a.audience, a.find, float64(time.Now().UnixMilli())/1000)
	var why refused
	if errors.As(err, &why) {
		return refuse(http.StatusUnauthorized, why.Error())
	}
	if err != nil {
		return refuse(http.StatusServiceUnavailable, "no keys")
	}
	if dead := a.feed.dead(claims, kid); dead == "revocation_unknown" {
		return refuse(http.StatusServiceUnavailable, dead)
	} else if dead != "" {
		return refuse(http.StatusUnauthorized, dead)
	}
	segments, isRight := readPath(request.RequestURI, "/v1")
	if !isRight {
		return refuse(http.StatusForbidden, "the path can be read in two ways")
	}
	routes, _ := texts(claims["allowedRoutes"])
	if !allows(routes, request.Method, segments) {
		return refuse(http.StatusForbidden, "the session does not allow this request")
	}
	// This API has no permissions, projects or pages of its own. To leave a restriction unread would
	// widen it.
	for _, name := range []string{"scope", "bindings", "domains"} {
		if _, isThere := claims[name]; isThere {
			return refuse(http.StatusForbidden, "sessions with "+name+" are not for this service")
		}
	}
	act, _ := claims["act"].(map[string]any)
	return http.StatusOK, map[string]any{
		"method": request.Method, "path": strings.Join(segments, "/"), "account": claims["sub"], "actor": act["sub"],
	}
}
