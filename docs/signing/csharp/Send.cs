// Signs a request and sends it, with .NET alone: no package.
//
//   COUNTERSIGN_SECRET=... dotnet run URL KEY_ID BODY_FILE SCHEME
//
// SCHEME is kwikpaisa or countersign-v1. BODY_FILE is sent by POST; "-" sends a GET without a body.
// The answer goes to standard output, its status to standard error.
//
// Where answers are signed, COUNTERSIGN_ANSWER_SECRET says by which secret: the same again, or the
// second one that kwikpaisa has for answers. What the gate did not sign then goes to standard error.
using System;
using System.Collections.Generic;
using System.IO;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using System.Threading.Tasks;

public static class Send
{
    /// <summary>The headers that make a request signed.</summary>
    static Dictionary<string, string> Sign(string scheme, string secret, string keyId,
        string method, string host, string target, string contentType, byte[] body)
    {
        // Seconds: ten digits. ToUnixTimeMilliseconds() is refused.
        var timestamp = DateTimeOffset.UtcNow.ToUnixTimeSeconds().ToString();
        var headers = new Dictionary<string, string>
        {
            ["X-API-KEY"] = keyId,
            ["X-TIMESTAMP"] = timestamp,
        };
        byte[] message;
        if (scheme == "kwikpaisa")
        {
            message = Joined(body, timestamp);
        }
        else if (scheme == "countersign-v1")
        {
            var random = new byte[16];
            using (var source = RandomNumberGenerator.Create()) source.GetBytes(random);
            var nonce = Hex(random);
            headers["X-NONCE"] = nonce;
            string digest;
            using (var sha256 = SHA256.Create()) digest = Hex(sha256.ComputeHash(body));
            message = Encoding.UTF8.GetBytes(string.Join("\n", "countersign-v1", keyId, timestamp,
                nonce, method, host, target, contentType, digest));
        }
        else
        {
            throw new ArgumentException("no such scheme: " + scheme);
        }
        using (var hmac = new HMACSHA256(Encoding.UTF8.GetBytes(secret)))
        {
            // Hexadecimal, 64 digits, in lower case; Convert.ToBase64String() is refused.
            headers["X-SIGNATURE"] = Hex(hmac.ComputeHash(message));
        }
        return headers;
    }

    /// <summary>Whether the gate signed this answer, and to this request.</summary>
    static bool IsGenuine(string scheme, string secret, Dictionary<string, string> request,
        string host, string target, HttpResponseMessage answer, byte[] body)
    {
        var timestamp = Value(answer.Headers, "X-TIMESTAMP");
        byte[] message;
        if (scheme == "kwikpaisa")
        {
            message = Joined(body, timestamp);
        }
        else
        {
            string digest;
            using (var sha256 = SHA256.Create()) digest = Hex(sha256.ComputeHash(body));
            message = Encoding.UTF8.GetBytes(string.Join("\n", "countersign-v1-response",
                request["X-API-KEY"], timestamp, request["X-NONCE"],
                ((int)answer.StatusCode).ToString(), host, target,
                Value(answer.Content.Headers, "Content-Type"), digest));
        }
        string expected;
        using (var hmac = new HMACSHA256(Encoding.UTF8.GetBytes(secret)))
        {
            expected = Hex(hmac.ComputeHash(message));
        }
        // In constant time: == tells by its time how much of a signature is right.
        var signature = Value(answer.Headers, "X-SIGNATURE");
        var difference = expected.Length ^ signature.Length;
        for (var at = 0; at < expected.Length && at < signature.Length; at++)
        {
            difference |= expected[at] ^ signature[at];
        }
        if (difference != 0) return false;
        // kwikpaisa does not say which request it answers. So it must be new, and its time ten
        // digits, as otherwise digits could move from the body; that it is about your order is
        // yours to check.
        return scheme != "kwikpaisa" || Regex.IsMatch(timestamp, @"\A[0-9]{10}\z")
            && Math.Abs(DateTimeOffset.UtcNow.ToUnixTimeSeconds() - long.Parse(timestamp)) <= 300;
    }

    /// <summary>A header as it came. Before .NET 6 the library shows a Content-Type only as it
    /// would write it itself: an answer whose type was written otherwise then counts as not
    /// genuine.</summary>
    static string Value(HttpHeaders headers, string name)
    {
#if NET6_0_OR_GREATER
        return headers.NonValidated.TryGetValues(name, out var values) ? values.ToString() : "";
#else
        IEnumerable<string> values;
        return headers.TryGetValues(name, out values) ? string.Join(", ", values) : "";
#endif
    }

    static byte[] Joined(byte[] body, string timestamp)
    {
        var end = Encoding.UTF8.GetBytes(timestamp);
        var message = new byte[body.Length + end.Length];
        body.CopyTo(message, 0);
        end.CopyTo(message, body.Length);
        return message;
    }

    static string Hex(byte[] bytes)
    {
        return BitConverter.ToString(bytes).Replace("-", "").ToLowerInvariant();
    }

    public static int Main(string[] args)
    {
        return Run(args).GetAwaiter().GetResult();
    }

    static async Task<int> Run(string[] args)
    {
        // The secret is used as it is: no decoding from hexadecimal or base64, no line break at its
        // end.
        var secret = Environment.GetEnvironmentVariable("COUNTERSIGN_SECRET");
        if (args.Length != 4 || string.IsNullOrEmpty(secret))
        {
            Console.Error.WriteLine(
                "usage: COUNTERSIGN_SECRET=... dotnet run URL KEY_ID BODY_FILE SCHEME");
            return 2;
        }
        var get = args[2] == "-";
        var method = get ? "GET" : "POST";
        var contentType = get ? "" : "application/json";
        // Read once, as bytes. These bytes are signed, and these are sent: an object that is
        // serialised a second time may come out in another order.
        var body = get ? new byte[0] : File.ReadAllBytes(args[2]);

        // Uri writes what is not ASCII as %XX and leaves :443 out. Its parts are signed, and it is
        // sent: without a fragment, which Mono would send along.
        var uri = new Uri(args[0].Split('#')[0]);
        var host = uri.Authority;
        var target = uri.PathAndQuery;

        var request = new HttpRequestMessage(new HttpMethod(method), uri);
        var headers = Sign(args[3], secret, args[1], method, host, target, contentType, body);
        foreach (var header in headers) request.Headers.Add(header.Key, header.Value);
        if (!get)
        {
            // Not StringContent: it adds "; charset=utf-8" to the type, which was not signed.
            request.Content = new ByteArrayContent(body);
            request.Content.Headers.ContentType = new MediaTypeHeaderValue(contentType);
        }
        // Follows no redirect: the request is signed for this address.
        using (var client = new HttpClient(new HttpClientHandler { AllowAutoRedirect = false }))
        using (var answer = await client.SendAsync(request))
        {
            Console.Error.WriteLine((int)answer.StatusCode);
            var bytes = await answer.Content.ReadAsByteArrayAsync();
            var answerSecret = Environment.GetEnvironmentVariable("COUNTERSIGN_ANSWER_SECRET");
            var genuine = string.IsNullOrEmpty(answerSecret)
                || IsGenuine(args[3], answerSecret, headers, host, target, answer, bytes);
            if (!genuine) Console.Error.WriteLine("not signed by the gate:");
            using (var output = genuine ? Console.OpenStandardOutput() : Console.OpenStandardError())
            {
                output.Write(bytes, 0, bytes.Length);
            }
            return genuine && answer.IsSuccessStatusCode ? 0 : 1;
        }
    }
}
