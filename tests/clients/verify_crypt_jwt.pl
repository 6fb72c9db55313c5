#!/usr/bin/perl
# Verifies with Perl's Crypt::JWT, which knows all three algorithms.
#
#   perl verify_crypt_jwt.pl CASES.json

use strict;
use warnings;
use Crypt::JWT qw(decode_jwt);
use HTTP::Tiny;
use JSON::PP qw(decode_json);

open my $file, '<:raw', $ARGV[0] or die "$ARGV[0]: $!\n";
my $given = decode_json(do { local $/; <$file> });

my $answer = HTTP::Tiny->new(timeout => 10, max_redirect => 0)->get($given->{jwks});
die "no key set: $answer->{status}\n" unless $answer->{success};
my $keys = decode_json($answer->{content});

my $failed = 0;
for my $case (@{ $given->{cases} }) {
    my $claims = eval {
        decode_jwt(
            token        => $case->{token},
            kid_keys     => $keys,
            accepted_alg => [ 'ES256', 'EdDSA', 'RS256' ],
            verify_iss   => $case->{issuer},
            verify_aud   => $case->{audience},
            verify_exp   => 1,
            verify_nbf   => 1,
            verify_iat   => 1,
            verify_typ   => 'at+jwt',
        );
    };
    my $reason   = $claims ? 'it was accepted' : $@;
    my $accepted = $claims && $claims->{sub} && $claims->{jti};
    my $verb     = $case->{good} ? 'accepts' : 'refuses';
    my $name     = "Crypt::JWT, $given->{label}: $verb $case->{name}";
    # Refused by a check of Crypt::JWT, not by a mistake in this file.
    my $right = $case->{good} ? $accepted : !$accepted && $reason =~ /^JW[ST]: /;
    if ($right) {
        print "ok   $name\n";
    }
    else {
        $failed = 1;
        chomp $reason;
        print "FAIL $name: $reason\n";
    }
}
exit $failed;
